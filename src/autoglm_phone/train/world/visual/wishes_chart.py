"""What training asks about charts, as cores for `phrasing`: value, trend, best, pair, difference, forecast.

{x} is a measure ("sales of Paris", "三月巴黎的销量"); in English it stands after "the". Verbs are in the past or after "did",
or {was} ("was", "were"), so that they fit singular and plural measures.
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from autoglm_phone.train.world.phrasing import Ask
from autoglm_phone.train.world.sample import Lang

VALUE: dict[Lang, Ask] = {
    "zh": Ask(
        "chart",
        order=("[读一下|读一读|读出来|念一下|查一下|看一下|报出|说出|写出|标出]{x}", "把{x}[读出来|念出来|写出来|报一下|说一下]", "[估计|估一下|估读]图[上|中]{x}的[数值|大小]"),
        indirect=("{x}[大约|大概|约|究竟|到底|具体]是[多少|几]", "{x}[的数值|的数字|的读数|这个数]是多少", "{x}[是多大|有多大|为多少|等于多少|达到多少|到了多少]", "图[上|中|里][显示的|标的|画的|]{x}是多少", "{x}对应[什么数值|的数值是多少|的数是多少]"),
        noun=("{x}的[数值|具体数值|数字|大概数值|读数|值]", "图[上|中|里]{x}[|的值]"),
    ),
    "en": Ask(
        "chart",
        question=("how [high|large|big|much] {was} the {x}", "what [value|figure|number|amount] does the [chart|graph] [show|give|have] for the {x}", "what {was} the {x}, [roughly|about|approximately|exactly|more or less]", "what did the {x} [come to|amount to|add up to|reach]", "roughly what {was} the {x}", "the {x} [was|came to] how much"),
        order=("read off the {x}", "[look up|check|estimate|report|write down|state|note] the {x}", "[read off|look up|estimate|give] the [value|figure|number] [of|for] the {x}", "put a number on the {x}", "[check|look] how [high|large|big|much] the {x} {was}"),
        indirect=("how [high|large|big|much] the {x} {was}", "what [value|figure|number] the {x} had", "what the {x} [came to|amounted to]", "which number [belongs to|stands for|goes with] the {x}"),
        noun=("the [exact|approximate|rough|] [value|figure|number|amount|reading] [of|for] the {x}", "the {x}", "the [height|size] of the {x}"),
    ),
}  # fmt: skip

_SPAN_ZH = "[|总体|总的来说|整个时期|从头到尾|这段时间|前前后后|一路下来]"
_SPAN_EN = "[| over time| over the whole period| from start to end| from first to last| across the chart| in the long run| all in all]"
TREND: dict[Lang, Ask] = {
    "zh": Ask(
        "chart",
        question=(f"{{x}}{_SPAN_ZH}[是涨了还是跌了|是升还是降|往上走还是往下走|是增加还是减少|变多了还是变少了]", "{x}[有没有上升或下降|上升、下降还是不变]", "{x}是[涨、跌、持平还是有起有落|上升、下降、平稳还是先升后降]"),
        order=("[描述|概括|归纳|说明|分析|判断|形容|讲讲|说说]{x}的[趋势|走向|变化|变化方向|变化情况|发展方向|发展情况|起伏|曲线形状]", "[判断|看看]{x}是[升是降|涨是跌|往上还是往下]", "用[一个词|几个字|一句话][描述|概括|形容]{x}的[走向|趋势|变化]", "把{x}的[走向|变化|趋势][说一下|概括一下|讲清楚]"),
        indirect=(f"{{x}}{_SPAN_ZH}[怎么变|怎样变化|如何变化|怎么发展|如何发展|怎么走|有什么变化|呈什么趋势|是什么走向|往哪个方向走|朝哪个方向发展]", "{x}的[走向|变化趋势|发展趋势|变化方向|总趋势|变化][如何|怎样|是怎样的|怎么样]", "{x}[随时间|一段时间里|前后|整段时间][怎么变|如何变化|有什么起伏|是升是降]", "{x}的[线|柱子|曲线|数据][是往上还是往下|整个走成什么样|是什么形状|怎么走]", "{x}这[条线|组数据|段时间]的[方向|走向]是什么"),
        noun=("{x}的[趋势|走向|走势方向|变化方向|变化趋势|发展方向|总体变化|大致走向|起伏情况]", "{x}随时间的[变化|走向|趋势]"),
    ),
    "en": Ask(
        "chart",
        question=(f"how did the {{x}} [develop|evolve|move|behave|go|progress|turn out|shift]{_SPAN_EN}", f"did the {{x}} [rise or fall|go up or down|grow or shrink|climb, drop or stay level|increase or decrease]{_SPAN_EN}", "what [happened|has happened] to the {x} [over time|as time went on|over these {period}s|between the first and the last {period}]", "up or down: where did the {x} [go|head|move]", "in [what|which] direction did the {x} [develop|move|head|run]", "what [course|path|direction|pattern|shape] did the {x} [take|follow|show]", "what kind of [course|trend|development|pattern] [can be seen in|is there for] the {x}"),
        order=("[characterise|characterize|outline|identify|classify|judge|work out|summarise|explain|determine] the [trend|course|direction|development|tendency] of the {x}", "[say|decide|judge] whether the {x} [went up or down|rose or fell|grew or shrank]", "sum up [the course of the {x}|how the {x} developed|the development of the {x}]", "[describe|sketch|outline] [the movement|the development|the general course|the ups and downs|the overall direction] of the {x}", "put the [course|trend|development] of the {x} in [a word|a few words|words]"),
        indirect=(f"how the {{x}} [developed|evolved|moved|behaved|went|progressed|shifted]{_SPAN_EN}", f"whether the {{x}} [rose or fell|went up or down|grew or shrank|increased or decreased]{_SPAN_EN}", "in [what|which] direction the {x} [developed|moved|headed|ran]", "what [course|path|direction|trend|pattern] the {x} [took|followed|had|showed]", "what happened to the {x} [over time|as time went on|over these {period}s]", "if the {x} went up, down or stayed level"),
        noun=("the [course|development|direction|tendency|overall trend|general trend|overall direction|general direction|overall course|long-term trend|ups and downs|movement] of the {x}", "the [trend|direction|tendency] [in|for|shown by] the {x}", "the trend that the {x} [showed|followed]"),
    ),
}  # fmt: skip

# Further wordings that training alone uses: what is asked of the validation split stays what it is.
TREND_MORE: dict[Lang, Ask] = {
    "zh": Ask(
        "chart",
        question=("{x}[走高还是走低|上扬还是下滑|越来越高还是越来越低|一路上涨还是一路下跌|先涨后跌还是先跌后涨]", "{x}[在往上涨吗|在往下掉吗|在涨吗|平不平稳]，[还是相反|还是别的样子|总的怎么走]"),
        order=("[说|讲|写]出{x}的[走势|变化方向|总体走向|涨跌情况]", "[看看|判断|分析]{x}[的走势|的变化|的涨跌|往哪边走|朝哪边变]", "[用一个词|简单][说出|总结]{x}的[走势|涨跌|动向]"),
        indirect=("{x}[总体|一路|后来|逐渐|][是什么走势|是何走势|往哪边走|朝哪边变|向上还是向下|涨跌如何|有何变化|变化如何|走势怎样]", "{x}的[走势|涨跌|动向|变化规律|总体变化][是什么样的|怎样|如何|是哪种]", "[随着时间推移|几个时间点下来|从左往右看]，{x}[怎么变|往哪走|是什么走势]"),
        noun=("{x}的[走势|涨跌|动向|总体走势|变化规律|变化方向]", "{x}的[走势|变化]，[上升、下降还是平稳|升、降、平还是有转折]"),
    ),
    "en": Ask(
        "chart",
        question=("which way [is|was] the {x} [heading|moving|trending|pointing|turning|developing|running]", "which way did the {x} [head|move|develop|turn|tend|run|drift] over [time|these {period}s|the chart]", "[where|which direction] [is|was] the {x} [heading|going|headed|moving]", "[is|was] the {x} [rising or falling|going up or down|climbing or dropping|growing or shrinking|on the rise|getting higher or lower]", "does the {x} [tend up or down|tend upwards or downwards|rise or fall|climb or drop|increase or decrease|go up or down]", "what [tendency|trend|drift|direction|overall change|general movement] [does the {x} show|can you see in the {x}|is there in the {x}]", "[how|in which way] [has|have] the {x} [changed|developed|moved|been changing|been doing]", "what [way|direction] [does|did] the {x} [take|move in|change in]"),
        order=("[tell|say|name|state] [which way|in which direction] the {x} [is heading|is moving|moves|runs|develops|turns]", "[name|state|give|find] the [tendency|drift|direction|general movement] of the {x}", "[describe|explain|say] how the {x} [changes|moves|develops|goes up and down] over [time|the {period}s]"),
        indirect=("which way the {x} [is heading|is moving|moves|heads|runs|tends|is trending]", "whether the {x} [is rising or falling|tends up or down|climbs or drops|goes up, down or both]", "what [tendency|direction|drift] the {x} [has|shows|follows]"),
        noun=("the [tendency|drift|heading|general movement|rise or fall|way] of the {x}", "the [tendency|direction of change|change over time] [in|of] the {x}"),
    ),
}  # fmt: skip

# {way}: 高 or 低; highest or lowest.
BEST: dict[Lang, Ask] = {
    "zh": Ask(
        "chart",
        order=("[找出|指出|说出|选出|挑出|圈出]{x}最{way}的[那个|一项|那一项|一个]", "[看看|比一比]谁的{x}最{way}"),
        indirect=("谁的{x}最{way}", "{x}最{way}的[是谁|是哪一项|是哪一个|叫什么]", "在[这些|所有|图中各]项[里|中|当中]，[哪个|哪一项|谁]的{x}最{way}", "{x}排[在|]最{way}[位|处]的是[哪个|谁]", "[哪个|哪一项]拿到最{way}的{x}"),
        noun=("{x}最{way}的[那个|那一项|项目|名字|名称]", "{x}最{way}[点|处|的地方]的名称"),
    ),
    "en": Ask(
        "chart",
        question=("which [item|entry|label|bar|category] [had|shows|got|reached|comes with] the {way} {x}", "where do you find the {way} {x}", "what [item|entry|category] [stands out with|came in with|is marked by] the {way} {x}", "of all the [items|entries|bars|categories], which [had|got|shows] the {way} {x}"),
        order=("[pick|pick out|find|point out|choose|identify|look for] the [item|entry|category] with the {way} {x}", "[find|see|look] [which|what] [item|entry|category] has the {way} {x}"),
        indirect=("which [item|entry|category|bar] [had|got|shows|reached] the {way} {x}", "where the {x} {was} {way}", "which of [them|the items|these] had the {way} {x}"),
        noun=("the [item|entry|category|bar] with the {way} {x}", "the [item|entry|category] that [had|got|reached] the {way} {x}"),
    ),
}  # fmt: skip
BEST_TIME: dict[Lang, Ask] = {
    "zh": Ask(
        "chart",
        order=("[找出|指出|说出|选出|挑出]{x}最{way}的[那个时间|时间|时段|那段时间|那一期]",),
        indirect=("[哪一期|哪段时间|哪个时段|哪个时候|什么时间][的|，]{x}最{way}", "{x}在[哪一期|哪段时间|哪个时段|什么时间|哪个时候][最{way}|达到最{way}|到了最{way}点]", "{x}最{way}[是在|出现在|发生在][什么时候|哪一期|哪段时间|哪个时候]", "{x}的最{way}点[在|出现在|落在]哪[个时间|一期|里]"),
        noun=("{x}最{way}的[时段|那一期|时候|那段时间]", "{x}最{way}点的时间"),
    ),
    "en": Ask(
        "chart",
        question=("which {period} [saw|showed|brought|recorded|came with] the {way} {x}", "in [what|which] {period} did the {x} [reach|hit|have] [its|their|the] {way} [point|value|level]", "at what time {was} the {x} {way}", "the {x} {was} {way} in which {period}", "what {period} [had|brought|shows] the {way} {x}", "of all the {period}s, which had the {way} {x}", "at which {period} do you see the {way} {x}"),
        order=("[pick out|find|point out|identify|choose|look for] the {period} [of|that had|that shows] the {way} {x}", "[find|see|check] [when|in which {period}] the {x} {was} {way}"),
        indirect=("when the {x} {was} {way}", "which {period} [had|saw|brought|showed] the {way} {x}", "in [which|what] {period} the {x} {was} {way}", "in which {period} the {x} [reached|hit] the {way} [point|value|level]"),
        noun=("the {period} [of|that had|that saw|that brought] the {way} {x}", "the time of the {way} {x}"),
    ),
}  # fmt: skip

# {one} {two} labels; {way}: higher or lower, 高 or 低.
PAIR: dict[Lang, Ask] = {
    "zh": Ask(
        "chart",
        order=("比[一比|较|较一下]{one}和{two}，[说出|指出|看]哪个的{x}[更{way}|{way}一些]", "在{one}和{two}[中|里|之间]选出{x}更{way}的"),
        indirect=("{one}和{two}[相比|比起来|比一比|之间|当中|这两个里]，[哪个|哪一个|谁]的{x}[更{way}|{way}一些|比较{way}|{way}一点]", "{x}[更{way}|{way}一些]的是{one}还是{two}", "{one}还是{two}的{x}[更{way}|{way}一些|比较{way}]", "{one}、{two}[两个|二者|两者][里|中|相比]，[谁|哪个]的{x}{way}", "就{x}来说，{one}和{two}[谁|哪个]更{way}"),
        noun=("{one}和{two}[中|里|之间]{x}更{way}的[那个|一个|那一个]",),
    ),
    "en": Ask(
        "chart",
        question=("{one} or {two}: [which|which one] [has|had|shows|got] the {way} {x}", "between {one} and {two}, [which|which one] [has|had|shows] the {way} {x}", "of {one} and {two}, which [has|had] the {way} {x}", "[does|did] {one} or {two} have the {way} {x}", "where {was} the {x} {way}, {at} {one} or {at} {two}", "{one} and {two}: where {was} the {x} {way}", "comparing {one} with {two}, which [has|had] the {way} {x}"),
        order=("compare {one} and {two} and [say|tell me|name|pick] the one with the {way} {x}", "[choose|pick] between {one} and {two}: the {way} {x} counts", "[say|decide|see] which of {one} and {two} had the {way} {x}"),
        indirect=("which of {one} and {two} [has|had] the {way} {x}", "whether {one} or {two} [has|had] the {way} {x}", "which one had the {way} {x}, {one} or {two}"),
        noun=("the one with the {way} {x}, {one} or {two}", "the one of {one} and {two} [with|that had] the {way} {x}"),
    ),
}  # fmt: skip
# {high} {low} labels, {at} in, on or for.
GAP: dict[Lang, Ask] = {
    "zh": Ask(
        "chart",
        order=("[算出|算一下|求出|计算|求]{high}[与|和|跟]{low}的{x}[之差|相差多少|的差|差值]", "用{high}的{x}减去{low}的，[算出|求出][差值|差多少]"),
        indirect=("{high}[与|和|跟]{low}的{x}[相差|差了|差|之差是]多少", "{high}的{x}比{low}[多|高出|多出|大]多少", "{low}的{x}要[加上|增加]多少才[等于|赶上|追上]{high}", "从{x}看，{high}比{low}[多|高|高出|多出]多少", "{high}和{low}之间，{x}的[差|差距|差值]是多少"),
        noun=("{high}和{low}[之间|]的{x}[的差|之差|的差距|差值]",),
    ),
    "en": Ask(
        "chart",
        question=("by how much {was} the {x} {at} {high} [higher|larger|greater] than {at} {low}", "by how much did the {x} {at} {high} exceed [that|those] {at} {low}", "what is the [difference|gap|distance] in the {x} between {high} and {low}", "how [far apart|different] {was} the {x} {at} {high} and {at} {low}", "how much more {was} the {x} {at} {high} compared [with|to] {low}", "comparing {high} with {low}, how [big|large] is the [gap|difference] in the {x}"),
        order=("[work out|calculate|compute|find|subtract to find] the [difference|gap] in the {x} between {high} and {low}", "take the {x} {at} {high} and subtract [that|those] {at} {low}"),
        indirect=("by how much the {x} {at} {high} [exceeded|topped] [that|those] {at} {low}", "how much [higher|larger|greater] the {x} {at} {high} {was} than {at} {low}", "how [big|large] the [gap|difference] in the {x} is between {high} and {low}"),
        noun=("the [difference|gap|distance] in the {x} between {high} and {low}", "the [lead|margin] of {high} over {low} in the {x}"),
    ),
}  # fmt: skip

FORECAST: dict[Lang, Ask] = {
    "zh": Ask(
        "chart",
        order=("[预估|推测|推算|预计|推断|外推|估算|预判]{next}的{x}", "[推测|推算|预测]一下{next}{x}[有多少|是多少|的数值|的值]", "把{x}[往后|向后]推一期，[算出|得出]{next}的[值|数值]", "给{next}的{x}做个[预测|预估|估计]"),
        indirect=("{next}的{x}[将是|将会是|可能是|大概会是|应该是|预计为|会到|将达到]多少", "[照这样下去|如果保持下去|趋势不变的话|继续这样|假如趋势不变|按目前的变化]，{next}的{x}[会是多少|是多少|有多少|该是多少]", "图里还没有{next}，{next}的{x}[会是多少|估计多少|可能有多少|该有多少]", "到了{next}，{x}[会是|会有|大概|大约会是]多少", "下一[个|期]（{next}）的{x}[会是|预计是|大概是|将是]多少"),
        noun=("{next}{x}的[预测值|预估值|估计值|预测结果]", "对{next}{x}的[预测|预估|估计|推测]"),
    ),
    "en": Ask(
        "chart",
        question=("what will the {x} [probably |likely |presumably |most likely |][be|come to|amount to|look like] in {next}", "how [high|large|big|much] will the {x} be in {next}", "where will the {x} [stand|be|end up|land] in {next}", "what [might|could|should|can] the {x} [be|come to|reach] in {next}", "if nothing changes, what will {next} bring for the {x}", "what is your [guess|forecast|prediction|estimate|projection] [of|for] the {x} in {next}", "with {next} still to come, what {x} [can we expect|is likely|would you guess]", "supposing [the trend|this|it] [continues|holds|carries on], what [will|would] the {x} be in {next}"),
        order=("[project|extrapolate|work out|calculate|guess|foresee] the {x} [for|in] {next}", "make [a forecast|a prediction|an estimate|a projection] of the {x} [for|in] {next}", "continue the [line|series|data|pattern] to {next} and give the {x}", "carry the {x} forward to {next}", "extend the trend by one step and say what the {x} will be in {next}"),
        indirect=("what the {x} will [probably |likely |][be|come to|look like] in {next}", "how [high|large|big|much] the {x} will be in {next}", "where the {x} will [stand|be|end up] in {next}", "what {x} [to expect|you foresee|is likely] in {next}"),
        noun=("[a|your] [forecast|prediction|projection|estimate] of the {x} for {next}", "the [expected|likely|predicted|projected|probable|future|coming] {x} [in|for] {next}"),
    ),
}  # fmt: skip
