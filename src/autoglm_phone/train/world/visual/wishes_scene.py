"""What training asks about drawn scenes, as cores for `phrasing`: caption, match, count, place, coordinates."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from autoglm_phone.train.world.phrasing import Ask
from autoglm_phone.train.world.sample import Lang

_IN_ZH = "[图里|图中|图上|画面里|画面上|这张图里|画里|图片里]"
_IN_EN = "[in the picture|in this picture|in the image|in the drawing|in this scene|here|in the scene]"
CAPTION: dict[Lang, Ask] = {
    "zh": Ask(
        "scene",
        order=("[描述|描述一下|形容|介绍|讲讲|说一说|概括|说明|描写]这[张图|幅画|个画面|幅图|张画]", "[描述|介绍|说说|概括]一下[画面|图片|图][的内容|上的东西|里的景象|里的东西|]", "[给|为]这[张图|幅画|张图片][写|配|想|加]一[句|段][说明|描述|文字说明|图注|介绍]", "[用文字|用话|用句子|用一两句话][描述|概括|说明][这张图|画面|图片]", "把[图里|画面里|图上]的[东西|内容|物体]都[说出来|讲出来|列出来]", "[写|来]一[句|段]图[片|]说明"),
        indirect=(f"{_IN_ZH}[都|][有些什么|有什么东西|画着什么|能看到什么|出现了什么|看得见什么|画的是什么]", "这[张图|幅画|张图片][画的是|上是|展示了|表现的是|呈现的是]什么", "[在|从]图[里|中|上][可以|能][看到|看见]什么", "[画面|图片]的内容是什么", "你[在|从]图[里|中|上][看到|看见]了什么"),
        noun=("[图片|画面|这张图|这幅画]的[描述|说明|文字描述|文字说明]", "[画面|图片]里的全部[内容|东西]"),
    ),
    "en": Ask(
        "scene",
        question=("what [can be seen|is shown|is drawn|do you see|is there to see|is visible|has been drawn] [in this picture|in the image|here|in the drawing|in this scene]", "what does [this drawing|this scene|this illustration] [depict|contain|show|hold]", "what [things|objects] [are there|can you see|do you see|are drawn] [here|in this picture|in the scene]", "what is [this a picture of|going on here|in this drawing|drawn here]", "how would you describe [this scene|this drawing|what you see here]"),
        order=("[make|give|produce|compose|come up with|suggest|think of] a [caption|description|short description|one-line description] [for|of] [this|the] [picture|image|drawing|scene]", "[put|say|tell] in [words|your own words|a sentence] what [you see here|this drawing shows|is shown]", "[list|mention|name|go through] everything [you see here|in this picture|that is drawn here|in the scene]", "[sum up|summarise|outline|characterise] [this scene|this drawing|the content of the picture|what is drawn]", "caption [this|the] [picture|image|drawing|scene]", "describe [this scene|this drawing|what you see|what is drawn here|the scene in words]"),
        indirect=("what [can be seen|is shown|is drawn|you see|there is to see|is visible] [here|in this picture|in the drawing|in this scene]", "what [this|the] [drawing|scene|illustration] [depicts|contains|shows]", "what [things|objects] [there are|you see|are drawn] [here|in this picture]"),
        noun=("a [description|caption|summary|short description] of [this|the] [picture|image|drawing|scene]", "the content of [this|the] [picture|image|drawing|scene]", "[a line|a sentence|some words] about what [is shown|you see here|can be seen]"),
    ),
}  # fmt: skip

# {x}: "a red car", "一辆红色的汽车".
MATCH: dict[Lang, Ask] = {
    "zh": Ask(
        "scene",
        question=(f"{_IN_ZH}[能看到|看得到|出现了|画了]{{x}}吗", f"{_IN_ZH}[是不是有|是否有|能不能看到]{{x}}", "[这张图|这幅画|画面|图片][画了|包含|出现了|上有|里包括]{x}吗", f"{_IN_ZH}有{{x}}，[对吗|对不对|是吗|是不是|是真的吗]", "[我说|有人说|他说|她说]图里有{x}，[对吗|对不对|是这样吗|是真的吗]", "{x}[在图里吗|在画面里吗|出现在图中了吗]"),
        order=("[确认|判断|检查|核对|看看]图[里|中|上]是否有{x}", "[判断对错|判断真假|判断正误]：图[里|中]有{x}"),
        indirect=("图[里|中|上]有没有{x}", "[画面|图片]里是不是有{x}"),
    ),
    "en": Ask(
        "scene",
        question=(f"is there {{x}} [somewhere {_IN_EN}|anywhere|to be seen|among the things here|on it]", "does [this drawing|this scene|this image|it|the illustration] [contain|include|have|hold|depict] {x}", f"do you [see|notice|find|spot|make out] {{x}} {_IN_EN}", "has {x} been drawn [here|in this scene|anywhere]", "is {x} [shown|drawn|visible|part of this scene|one of the things here|among the objects]", "there is {x} [here|in the picture|in this drawing]: [true or false|yes or no|right or wrong|is that so]", "[true or false|yes or no|right or wrong]: [there is {x} here|the drawing has {x}|you can see {x} here]", "am I right that there is {x} [here|in the picture|in this scene]"),
        order=("[check|see|make sure|verify|confirm|decide] [whether|if] there is {x} [here|in the picture|in this scene|in the drawing]", "look for {x} and [say yes or no|tell me yes or no|say whether it is there]"),
        indirect=("[whether|if] [there is {x} here|there is {x} in the picture|the drawing contains {x}|the scene includes {x}|{x} is shown]",),
    ),
}  # fmt: skip
# {x}: a whole sentence with its full stop. These are whole messages: a sentence before or after its question.
FITS: dict[Lang, tuple[str, ...]] = {
    "zh": (
        "{x}[这样说|这么说|这个说法|这种描述|上面这句][对吗|对不对|正确吗|符合图片吗|和图一致吗|有没有错]？",
        "[有人|我|同学|朋友|他]是这样[描述|形容]的：{x}[对吗|说得对吗|符合画面吗|和图一样吗]？",
        "[请|]看图[判断|回答][，：|：]{x}[对还是不对|对吗|是否正确|符不符合]？",
        "[对不对|是否属实|真的吗|是这样吗|没错吧]？{x}",
        "[核对|检查|确认]一下[这句话|这段描述|下面这句][|和图是否一致]：{x}",
        "[图上|画面上|图里]是不是这样：{x}",
        "{x}[是|]真[的|]还是假[的|]？",
        "这[幅画|张图]和[这句话|下面这句话|这个说明][吻合|相符|一样]吗：{x}",
    ),
    "en": (
        "{x} [Is that right|Is that so|Does that fit|True or false|Yes or no|Does this describe the scene|Is it correct|Right or wrong|Does the drawing agree with that]?",
        "[True or false|Right or wrong|Yes or no|Correct or not|Fact or not]: {x}",
        "[Someone|My friend|A colleague|The author|I] described [it|the scene|the drawing] like this: {x} [Is that right|Does it fit|Correct|Do you agree]?",
        "[Compare|Check|Test] [the sentence|this sentence|the following|this statement] [with|against] the [drawing|image|scene]: {x}",
        "Does [the drawing|this scene|the image] [agree with|fit|go with|show] [the following|this sentence|this caption]? {x}",
        "[Please |]say whether [this caption|this sentence|the following] is [correct|right|accurate]: {x}",
        "[Could this be the caption|Would this be a right caption|Is this a fitting caption|Is the following correct|Does this sentence fit]? {x}",
        "[The caption says|The text below says|Under it someone wrote]: {x} [Is it right|Does that fit|Is that accurate]?",
    ),
}  # fmt: skip
# {one} {two}: "red car"; {side}: left or right, 左 or 右.
SIDE: dict[Lang, Ask] = {
    "zh": Ask(
        "scene",
        question=("{one}[是不是在|是否在]{two}[的|]{side}[边|侧|面]", "{one}[位于|处在]{two}[的|]{side}[边|侧|面]吗", "{two}的{side}[边|侧|面]是{one}[吗|，对吗|，对不对]", "{one}在{two}的{side}[边|侧|面]，[对吗|对不对|是吗|是这样吗]", "[以{two}为准|和{two}比|从{two}看]，{one}在{side}[边|侧|面]吗"),
        order=("[判断|确认|看看|检查]{one}是否在{two}的{side}[边|侧|面]", "判断对错：{one}在{two}的{side}[边|侧|面]"),
        indirect=("{one}是不是在{two}[的|]{side}[边|侧|面]",),
    ),
    "en": Ask(
        "scene",
        question=("does the {one} [stand|lie|appear] [to the|on the] {side} of the {two}", "can the {one} be found to the {side} of the {two}", "the {one} is {side} of the {two}: [true or false|yes or no|is that so|right]", "[true or false|yes or no|right or wrong]: the {one} is [to the|on the] {side} of the {two}", "seen from the {two}, is the {one} [to|on] the {side}", "is the {one} [further|more] to the {side} than the {two}"),
        order=("[check|see|decide|verify] [whether|if] the {one} is to the {side} of the {two}",),
        indirect=("[whether|if] the {one} is [to the {side}|on the {side} side|{side}] of the {two}", "[whether|if] the {one} is further {side} than the {two}"),
    ),
}  # fmt: skip

# {n}: "red cars"; {m}: 个, 只 …
COUNT: dict[Lang, Ask] = {
    "zh": Ask(
        "scene",
        order=("[数出|清点|点一下|统计|统计一下|数数|算一算]{n}的[数量|个数|数目|总数]", "[数一数|清点一下|统计一下|数数]图[里|中|上]的{n}[有多少|有几{m}|]", "把{n}[数一遍|数一下|数清楚]，[报出数量|说出数目|告诉我有几{m}]", "[给出|报出|说出]{n}的[数量|个数|数目]"),
        indirect=(f"{_IN_ZH}[一共|总共|共]有[多少|几]{{m}}{{n}}", f"{{n}}{_IN_ZH}有[几{{m}}|多少{{m}}|多少]", f"{_IN_ZH}[能看到|能数出|画了|出现了|看得见][几|多少]{{m}}{{n}}", "{n}的[数量|个数|数目|总数][是多少|是几|有多少]", "{n}[到底|总共|][有|是][几|多少]{m}"),
        noun=("{n}的[数量|个数|数目|总数|确切数量]", "图[里|中|上]{n}的[数量|个数|数目]"),
    ),
    "en": Ask(
        "scene",
        question=(f"how many {{n}} [do you count|can be seen|are shown|are drawn|does it show|do you find|are visible|can you make out|were drawn] {_IN_EN}", "[how many|what number of] {n} does [this drawing|this scene|it|the image] [have|contain|show|hold]", "what is the [total|count] of {n} [here|in the drawing|in this scene]", "{n}: how many [are there here|do you see|of them|in all]", "there are how many {n} [here|in this drawing|in all]"),
        order=("count [all|all the|every one of the|up the] {n} [here|in the picture|in the drawing|you see]", "[work out|find out|determine|say|report|check] how many {n} [there are|are drawn here|you see|can be seen]", "[add up|tally|number|go through and count] the {n}", "[report|state|give] the [number|count|total] of {n}"),
        indirect=("how many {n} [there are|you see|are drawn here|can be seen|you count|are shown] [here|in the picture|in all|in this scene]", "what the [number|count|total] of {n} is"),
        noun=("the [count|total|total number|exact number] of {n}", "the number of {n} [here|in the picture|in the drawing|shown|you see]"),
    ),
}  # fmt: skip

# The region in words, not coordinates. {x}: "red car".
WHERE: dict[Lang, Ask] = {
    "zh": Ask(
        "scene",
        order=("[说出|说明|指明|告诉我]{x}在[图的|画面的|]哪[一块|个方向|个区域|一边|一带]", "用[方位词|词语|方位]说明{x}[在哪里|在哪|在什么地方]"),
        indirect=("{x}[在|位于|处在|画在|出现在][画面|图片|图|画]的[哪一块|哪个区域|哪个部分|哪一边|哪个角落|什么方位|哪一带]", "[在|从]图[里|上|中]的[哪一块|哪个部分|什么地方]能[看到|找到]{x}", "{x}[画|]在[左边、右边还是中间|上方、下方还是中间|图的什么地方|什么地方]"),
        noun=("{x}[所在|]的[方位|区域|大致方位]",),
    ),
    "en": Ask(
        "scene",
        question=("[which|what] [part|area|section|corner or side] of the [picture|image|drawing] [holds|has|shows|contains] the {x}", "in [what|which] [area|section|region] [is|do you see|do you find] the {x}", "whereabouts [is|do I find|do you see] the {x}", "[top, center or bottom|left, center or right]: where [do you see|do I find] the {x}", "where [has the {x} been drawn|was the {x} drawn]", "where in the [picture|image|drawing] [is|do you see] the {x}"),
        order=("[say|describe] in words where the {x} is", "[name|say|give] the [part|section|region] of the picture [with|that holds|that has] the {x}"),
        indirect=("where [in the picture|in the drawing|on the image|] the {x} is", "in which [part|area|section|region] the {x} [is|was drawn|can be seen]", "whereabouts the {x} is"),
        noun=("the [part|section|region|area] of the [picture|image|drawing] [with|that holds|that has] the {x}",),
    ),
}  # fmt: skip
POINT: dict[Lang, Ask] = {
    "zh": Ask(
        "scene",
        order=("[写出|报出|输出|返回|算出|说出]{x}的[坐标|位置坐标|中心坐标|坐标值]", "用[坐标|两个数|x和y|坐标值][表示|标明|说明]{x}[的位置|在哪|的中心]", "把{x}的[坐标|中心坐标|位置坐标][给我|写出来|标出来]"),
        indirect=("{x}的[坐标|位置坐标|坐标值|中心坐标][是什么|在哪|是几|为多少]", "{x}[中心|正中]的[横坐标和纵坐标|x和y|坐标值]是多少", "{x}[在|位于]什么坐标"),
        noun=("{x}的[坐标|坐标值|位置坐标|横纵坐标]", "{x}[正中间|中间]的坐标"),
    ),
    "en": Ask(
        "scene",
        question=("at [what|which] coordinates [is|do you find|do I find] the {x}", "which [point|coordinates|x and y] [belong to|mark|mark the middle of] the {x}", "what are the x and y of the {x}", "what point does the {x} [lie at|stand on]"),
        order=("[return|output|report|write down|state] the [coordinates|x and y|coordinate pair] of the {x}", "[locate|pinpoint] the {x} [by|with|in] coordinates", "[give|write] a [point|coordinate pair] [on|for] the {x}", "[use|answer with] coordinates to [show|say] where the {x} is"),
        indirect=("at which coordinates the {x} is", "what the coordinates of the {x} are", "which x and y the {x} has"),
        noun=("the [x and y|coordinate pair|exact coordinates|center coordinates] of the {x}", "the coordinates [for|that belong to] the {x}"),
    ),
}  # fmt: skip
