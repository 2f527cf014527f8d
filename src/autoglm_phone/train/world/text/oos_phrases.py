"""How out-of-scope questions are asked and answered. Slots: {x} {y} topics, {who} a name."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from dataclasses import dataclass

from autoglm_phone.train.world.sample import Lang

ASK: dict[str, dict[Lang, tuple[str, ...]]] = {
    "concept": {
        "zh": ("什么是{x}?", "{x}是什么[意思|东西|]?", "[解释|讲解|说明]一下{x}[。|]", "{x}的[原理|定义|概念|作用|意义|历史]是什么?", "[介绍|讲讲|说说|科普]一下{x}", "为什么会有{x}?", "{x}有[什么用|哪些特点|哪些种类|什么影响]?", "[谁|哪个国家][发明|发现|提出]了{x}?", "{x}是[怎么|如何][来的|形成的|产生的|工作的]?",
               "{x}和{x}学有什么区别?", "[我想|想]了解{x}", "[你|您][知道|了解|听说过]{x}吗?", "[怎么|如何]理解{x}?", "{x}[难学吗|好学吗|要学多久]?", "举个{x}的例子", "{x}最早出现在[什么时候|哪一年|哪个国家]?", "{x}对[人类|社会|生活]有什么[影响|好处|坏处]?", "关于{x}你知道多少?", "[帮我|]查一下{x}", "{x}", "论述{x}的[发展|意义]", "{x}的[优点|缺点]有哪些?", "[请|][详细|简单]说明{x}的过程"),
        "en": ("What is {x}?", "What are {x}?", "Explain {x}[.|]", "[Tell me|Teach me] about {x}", "How does {x} work?", "Why [is there|do we have] {x}?", "What is the [meaning|history|theory|purpose|principle] of {x}?", "Who [invented|discovered|proposed] {x}?", "[Define|Describe] {x}[.|]", "What is {x} good for?", "[Do you know|Have you heard] about {x}?", "Give [me |]an example of {x}", "When did {x} [begin|first appear]?",
               "How [does|did] {x} affect [people|society|the world]?", "I want to learn about {x}", "Is {x} hard to learn?", "What are the [types|benefits|dangers|effects] of {x}?", "[Look up|Search for] {x}", "{x}", "What causes {x}?", "How is {x} formed?", "What do experts say about {x}?", "Summarize what is known about {x}"),
    },
    "person": {
        "zh": ("{x}是谁?", "{x}是[哪国人|哪里人|做什么的|干什么的]?", "{x}[出生在哪|生于哪年|多大了|什么时候去世的|活了多少岁]?", "[介绍|讲讲]一下{x}", "{x}的[代表作|成就|生平|妻子|老师|名言]是什么?", "{x}[结婚了吗|有几个孩子|身高多少|有多少钱]?", "{x}为什么[有名|出名|重要]?", "[你|您][认识|知道|喜欢]{x}吗?", "{x}和{who}谁[厉害|有名]?", "{x}做过什么?", "{x}还活着吗?", "讲一个{x}的故事"),
        "en": ("Who is {x}?", "Who was {x}?", "Where was {x} born?", "How old is {x}?", "When did {x} die?", "What did {x} [do|invent|discover|write|win]?", "Tell me about {x}", "Is {x} [married|still alive|rich]?", "What is {x} famous for?", "How tall is {x}?", "Do you know {x}?", "What nationality is {x}?", "Give me a biography of {x}", "What is {x}'s best work?"),
    },
    "place": {
        "zh": ("{x}在哪[里|儿|]?", "{x}的[首都|面积|人口|气候|历史|特产|海拔]是[什么|多少]?", "{x}有[什么好玩的|多少人口|多大|多高|多长|哪些景点]?", "去{x}[怎么走|怎么玩|要多少钱|坐什么车]?", "{x}[好玩吗|安全吗|冷不冷]?", "介绍一下{x}", "{x}附近有[什么好吃的|酒店吗]?", "{x}是[什么时候|哪一年]建的?", "从{x}到{y}有多远?".replace("{y}", "这里"), "{x}说什么语言?", "{x}现在几点?"),
        "en": ("Where is {x}?", "What is the [capital|population|area|climate|history] of {x}?", "How [big|high|long|old|far] is {x}?", "What can I [see|do|eat] in {x}?", "How do I get to {x}?", "Is {x} [safe|expensive|cold]?", "Tell me about {x}", "When was {x} [built|founded|discovered]?", "Which language is spoken in {x}?", "Who [rules|governs|leads] {x}?", "Plan a trip to {x}", "What is the time in {x} now?"),
    },
    "work": {
        "zh": ("《{x}》的作者是谁?", "《{x}》讲了什么[故事|]?", "《{x}》的[结局|主题|主角|中心思想]是什么?", "[背诵|默写|朗诵]《{x}》", "{x}好看吗?", "谁[写|演|唱|拍|画]的{x}?", "{x}是哪年[出版|上映|发行]的?", "[概括|总结]《{x}》的内容", "{x}里[谁|哪个人物]最厉害?", "{x}第一句是什么?"),
        "en": ("Who wrote {x}?", "What is {x} about?", "How does {x} end?", "Who is the [hero|author|director|main character] of {x}?", "Is {x} [good|worth it]?", "When was {x} [released|published|made]?", "Summarize the plot of {x}", "Recite {x}", "Who [stars in|painted|sang|directed] {x}?", "Quote a line from {x}"),
    },
    "event": {
        "zh": ("{x}[发生在|是]哪一年?", "{x}[谁赢了|结果如何|结果怎么样]?", "{x}的[原因|意义|影响|经过]是什么?", "为什么会[发生|有]{x}?", "讲讲{x}", "{x}死了多少人?", "谁[领导|参加]了{x}?", "{x}持续了多久?"),
        "en": ("When was {x}?", "Who won {x}?", "What caused {x}?", "Why did {x} happen?", "Tell me about {x}", "How many people [died in|took part in] {x}?", "Who led {x}?", "How long did {x} last?", "What was the result of {x}?"),
    },
    "dish": {
        "zh": ("{x}怎么做[好吃|]?", "[教我|告诉我]做{x}", "{x}的[做法|配料|热量]是什么?", "做{x}要[放什么|多长时间|哪些材料]?", "{x}是哪里的菜?", "给我一份{x}的菜谱", "{x}放多少盐?"),
        "en": ("How do I [make|cook|bake] {x}?", "Give me a recipe for {x}", "What goes into {x}?", "How long [does it take|do I need] to cook {x}?", "How many calories [are in|do] {x}[ have|]?".replace("[are in|do] {x}[ have|]", "are in {x}"), "Where do {x} come from?", "Which spices are in {x}?"),
    },
    "task": {
        "zh": ("[怎么|如何]{x}?", "教我{x}", "{x}[难吗|有什么技巧|要注意什么]?", "[想|我想]学{x},[怎么开始|从哪学起]?", "{x}的步骤是什么?"),
        "en": ("How do I {x}?", "Teach me to {x}", "Is it hard to {x}?", "What do I need to {x}?", "Give me tips to {x}", "What is the best way to {x}?"),
    },
    "task_words": {
        "zh": ("修{x}", "养{x}", "种{x}", "弹{x}", "练{x}", "做{x}", "组装{x}", "清洗{x}", "学{x}", "玩{x}", "画{x}", "选{x}", "安装{x}", "拆{x}"),
        "en": ("fix a {x}", "grow a {x}", "raise a {x}", "play the {x}", "learn {x}", "build a {x}", "clean a {x}", "draw a {x}", "choose a {x}", "repair a {x}", "install {x}", "train a {x}"),
    },
    "illness": {
        "zh": ("{x}怎么办?", "{x}吃什么药?", "{x}[怎么治|能治好吗|严重吗|要去医院吗]?", "我[最近|]{x},是[什么原因|怎么回事]?", "{x}不能吃什么?", "[孩子|老人]{x}怎么处理?", "{x}会传染吗?", "{x}要做什么检查?"),
        "en": ("What should I do about {x}?", "Which medicine helps against {x}?", "How do I treat {x}?", "I have {x}. [What is it|Is it serious|What now]?", "Should I see a doctor for {x}?", "My child has {x}. What should I do?", "What causes {x}?", "Is {x} contagious?"),
    },
    "legal": {
        "zh": ("{x}[怎么办|怎么处理|找谁]?", "{x}要[赔多少钱|坐牢吗|什么手续|交多少税]?", "{x}犯法吗?", "{x}的法律规定是什么?", "遇到{x}[可以起诉吗|怎么维权]?", "{x}需要请律师吗?", "{x}要准备哪些材料?"),
        "en": ("What does the law say about {x}?", "What are my rights in case of {x}?", "Can I sue over {x}?", "Do I need a lawyer for {x}?", "How much [tax|does it cost|will I get] for {x}?".replace("[tax|does it cost|will I get]", "do I pay"), "What papers do I need for {x}?", "Is there a fine for {x}?"),
    },
    "write": {
        "zh": ("[写|帮我写|请写|给我写]一[篇|份|个|段]{x}[吧|]", "[帮我|]创作{x}", "[编|想]一个{x}", "[能|可以]帮我写{x}吗?", "[代|替]我写{x}", "来一段{x}", "用优美的语言写{x}"),
        "en": ("Write {x}[.| please|]", "[Can|Could] you write {x}[ for me|]?", "Compose {x}", "Help me write {x}", "I need {x}[. Can you write it?|]", "Make up {x}", "Draft {x}"),
    },
    "code": {
        "zh": ("[用Python|用C++|用Java|用代码|]写[一个|]{x}", "{x}的代码[怎么写|是什么]?", "[帮我|]实现{x}", "[怎么|如何]编程实现{x}?", "{x}报错了怎么办?", "[给|发]我{x}的源代码", "调试我的{x}"),
        "en": ("Write {x}[ in Python| in C++| in Java|]", "[Implement|Program|Code] {x}[ for me|]", "How do I code {x}?", "Debug my code for {x}", "Show me the source code of {x}", "What is the code for {x}?", "My program for {x} crashes, why?"),
    },
    "danger": {
        "zh": ("[怎么|如何][做|制作|造|弄到]{x}?", "教我[做|制作]{x}", "哪里能买到{x}?", "{x}的配方[是什么|]?", "[帮我|]弄一个{x}", "告诉我制造{x}的方法"),
        "en": ("How do I [make|build|get] {x}?", "Teach me to make {x}", "Where can I buy {x}?", "Tell me the steps to make {x}", "Help me make {x}", "Give me instructions for {x}"),
    },
    "live": {
        "zh": ("[今天|明天|现在|最近|本周|]{y}[的|]{x}[怎么样|如何|是多少|]?", "[查|看|搜][一下|下|][今天|最新|实时][的|]{x}", "现在{x}[是多少|怎么样]?", "[最新|今天|实时]的{x}[是什么|有哪些|]?", "{x}涨了吗?", "明天{x}会怎么样?", "今天[是几号|星期几|是什么日子]?", "现在[几点|是什么时间|几点钟]了?", "[外面|今天|明天][下雨|冷|热|刮风]吗?", "[今天|最近]有什么[新闻|大事|热点]?", "播报[今天|]的{x}"),
        "en": ("What is the {x} [today|now|in {y}|right now]?", "[Show|Check|Tell me] the [latest|current] {x}[ in {y}|]", "How is the {x} today?", "What will the {x} be tomorrow?", "What's the date today?", "What time is it[ now|]?", "Is it [raining|cold|hot|windy] outside?", "What is [new|happening] in the world?", "[Any|What's the latest] news[ about {y}|]?", "Give me an update on the {x}", "Has the {x} gone up?"),
    },
    "opinion": {
        "zh": ("你[觉得|认为]{x}怎么样?", "你[怎么看|如何评价]{x}?", "你[支持|反对|喜欢]{x}吗?", "{x}[好不好|是对的吗|值得吗]?", "说说你对{x}的看法", "[你|]更看好{x}还是{y}?", "应该[禁止|推广]{x}吗?", "[哪个党|谁]更适合当[总统|领导]?"),
        "en": ("What do you think [of|about] {x}?", "Do you [support|like|oppose] {x}?", "Is {x} [good|right|worth it]?", "What is your opinion on {x}?", "Should {x} be banned?", "Which [party|candidate] is better?", "Do you believe in {x}?", "Who should win, {x} or {y}?"),
    },
    "choice": {
        "zh": ("{x}和{y}哪个[好|更好|更有名|历史更久]?", "{x}与{y}有什么[区别|关系|不同]?", "选{x}还是{y}?", "[推荐|介绍]一[本书|部电影|首歌|个餐厅|款手机|个旅游的地方][吧|]", "我该[买|选|学]{x}吗?", "[晚饭|午饭|今天]吃什么[好|]?"),
        "en": ("Which is better, {x} or {y}?", "What is the difference between {x} and {y}?", "Should I choose {x} or {y}?", "Recommend [a book|a film|a song|a restaurant|a phone|a place to visit][.|]", "Should I [buy|learn|try] {x}?", "What should I [eat|wear|watch|read] today?"),
    },
    "private": {
        "zh": ("我[叫什么名字|是谁|多大了|住在哪|的生日是哪天]?", "我的[密码|银行卡号|手机号|身份证号|邮箱]是[多少|什么]?", "{who}的[电话|地址|工资|密码|微信号]是多少?", "[我|]昨天[吃了什么|去了哪|见了谁]?", "你还记得[我|上次说的话|昨天的事]吗?", "{who}喜欢[谁|我吗|什么]?", "{who}在哪[里|儿|]?", "我[老婆|妈妈|老板]叫什么?", "{who}为什么[生气|不理我|没来]?"),
        "en": ("What is my [name|age|address|birthday|job]?", "What is my [password|phone number|bank card number|e-mail]?", "What is {who}'s [phone number|address|salary|password]?", "What did I [eat|do|buy] yesterday?", "Do you remember [me|our last talk|yesterday]?", "Does {who} [like|love] me?", "Where is {who}?", "Who is my [boss|mother|best friend]?", "Why is {who} [angry|late|sad]?"),
    },
    "fragment": {
        "zh": ("因为{x}所以", "{x}但是", "如果{x}的话", "[那个|就是|然后]{x}", "关于", "[比如|例如]说", "把它", "我想要那个", "他们{x}了以后", "{x}、", "上次的", "不是那个,是另一个", "[一直|继续|再来]", "为什么?", "怎么会", "然后呢", "比{x}更", "{x}之前"),
        "en": ("because of the {x}", "and then {x}", "if only {x}", "the {x} that", "about", "for example", "I want that one", "after they {x}", "the other one", "not this", "why?", "so what", "what about", "more than", "the last", "before the {x}", "which", "and the"),
    },
    "act": {
        "zh": ("[帮我|给我|]订[一张|][机票|火车票|外卖|酒店|电影票]", "[给|帮我给]{who}打[个|]电话", "[给|帮我给]{who}转[一百|五十]块[钱|]", "[放|播放][一首歌|音乐|{x}]", "[画|生成|做][一张|一幅][{x}|猫|风景]的?图".replace("?", ""), "[帮我|]买[一个|]{x}", "[打开|关掉][空调|灯|窗帘|电视]", "[明早七点|下午三点]叫我[起床|]", "[帮我|]发[一封|]邮件给{who}", "唱[首|一首]歌", "[搜索|上网查]{x}", "[下载|安装]{x}"),
        "en": ("Book [a flight|a hotel|a table|a train ticket|a taxi][ for me|]", "Call {who}[ for me|]", "Send [fifty dollars|money] to {who}", "Play [a song|some music|{x}]", "Draw [a cat|a {x}|a house][ for me|]", "Buy [a {x}|me a {x}]", "Turn [on|off] the [light|heating|TV|fan]", "Wake me up at [seven|six]", "Send an e-mail to {who}", "Sing a song", "Search the web for {x}", "Download {x}", "Order [a pizza|food|a coffee]"),
    },
}  # fmt: skip

_ME_ZH = "我是[小型|][手机|多模态]助手 AutoGLM-Phone,[能看屏幕、图表、图片,听语音,也会计算和翻译|可以看屏幕、读图表、描述图片、听写语音、计算和翻译]。"
_ME_EN = "I am AutoGLM-Phone, a small assistant: I [work with screens, charts, pictures and speech, calculate and translate|read screens, charts and pictures, hear speech, calculate and translate]."

ANSWERS: dict[str, dict[Lang, tuple[str, ...]]] = {
    "knowledge": {
        "zh": ("[抱歉,|对不起,|]这个我不知道,我是小模型,没有这方面的知识。" + _ME_ZH.replace("我是[小型|][手机|多模态]助手 AutoGLM-Phone,", "我"), "[抱歉,|对不起,]我不了解这个。" + _ME_ZH),
        "en": ("[Sorry, |]I don't know that. " + _ME_EN, "I [am sorry, I |]do not know this. ".replace("I [am sorry, I |]", "I ") + _ME_EN),
    },
    "expert": {
        "zh": ("[抱歉,|]这个我不知道,请咨询专业人士。" + _ME_ZH, "我不能给出这类建议,请找专业人士。" + _ME_ZH),
        "en": ("[Sorry, |]I don't know; please ask an expert. " + _ME_EN, "I can't give such advice; please ask an expert. " + _ME_EN),
    },
    "create": {
        "zh": ("[抱歉,|]我是小模型,写不好这个,做不到。" + _ME_ZH, "[抱歉,|对不起,]这个我做不到。" + _ME_ZH),
        "en": ("[Sorry, |]I can't write that. " + _ME_EN, "I am too small to do that, so I can't. " + _ME_EN),
    },
    "danger": {
        "zh": ("[抱歉,|对不起,]这个我不能帮忙。" + _ME_ZH,),
        "en": ("[Sorry, |]I can't help with that. " + _ME_EN,),
    },
    "live": {
        "zh": ("[抱歉,|]我不能联网,查不到实时信息。" + _ME_ZH,),
        "en": ("[Sorry, |]I can't go online, so I don't know what is current. " + _ME_EN,),
    },
    "opinion": {
        "zh": ("我没有看法,也不了解这个。" + _ME_ZH, "[抱歉,|]我不能评价这个。" + _ME_ZH),
        "en": ("I have no opinion on that and I don't know it. " + _ME_EN, "[Sorry, |]I can't judge that. " + _ME_EN),
    },
    "private": {
        "zh": ("[抱歉,|]我不知道这些个人信息。" + _ME_ZH,),
        "en": ("[Sorry, |]I don't know such personal things. " + _ME_EN,),
    },
    "unclear": {
        "zh": ("[抱歉,|]我没看懂,请换个说法。" + _ME_ZH,),
        "en": ("[Sorry, |]I don't understand; please say it differently. " + _ME_EN,),
    },
    "foreign": {
        "zh": ("抱歉,我只懂中文和英文,看不懂这句话,不知道怎么回答。" + _ME_ZH,),
        "en": ("Sorry, I only understand Chinese and English. " + _ME_EN,),
    },
    "act": {
        "zh": ("[抱歉,|]我不能直接做这件事。[发来手机屏幕截图,我可以告诉你下一步点哪里。|请发来屏幕截图,我会给出下一步操作。]" + "我是手机助手 AutoGLM-Phone。",),
        "en": ("[Sorry, |]I can't do that by myself. Send me a screenshot and I will tell you the next tap. I am AutoGLM-Phone, a small phone assistant.",),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Missing:
    """A question whose data is not there; an answer must name one of `keys`."""

    name: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    keys: tuple[str, ...]


MISSING: dict[Lang, tuple[Missing, ...]] = {
    "zh": (
        Missing("picture", ("[这张|这幅|]图[片|][里|中]有什么?", "[描述|看看|说说]这张[图片|照片|图]", "[图|照片]里有几[个|只|辆][人|猫|车|苹果|球]?", "这[张照片|张图|幅画]是什么[颜色|地方]的?", "图[里|中]的[人|车|猫|东西]在哪[里|]?", "图片和[这句话|描述]相符吗?", "照片[上|里]写了什么?"),
                ("你没有发图片。请把图片发给我,我就能看。", "我没看到图片,请先发一张图片。"), ("图片",)),
        Missing("chart", ("[这个|这张]图表[说明什么|的趋势是什么|里哪个月最高]?", "图表[里|中]最[高|低|大|小]的是[哪个|什么]?", "预测[一下|]下[个季度|个月|一季][的数值|的销量|]", "[折线|柱子|饼图]里[第三季度|二月]是多少?", "从图表看,[趋势|走势]如何?", "哪个月[销量|数值]最高?"),
                ("你没有发图表。请把图表发给我,我就能分析。", "我没看到图表,请先发来图表。"), ("图表",)),
        Missing("screen", ("点[击|一下][设置|登录|返回|发送|确定]按钮", "[屏幕|界面|页面]上有[什么|哪些按钮]?", "[下一步|现在]点哪[里|儿|]?", "[向上|向下|往下]滑[动|一下]", "[搜索框|按钮|图标]在[哪|哪里]?", "[帮我|]点开[第一个|右上角的]图标", "[屏幕|页面]上写了什么?"),
                ("你没有发屏幕截图。请把截图发给我,我会给出下一步操作。", "我没看到截图,请先发来屏幕截图。"), ("截图",)),
        Missing("audio", ("[这段|这条]语音说了什么?", "[听写|转写|转录]这段[录音|语音]", "把[这段|]录音转成文字", "录音里[的人|他]说[了|]什么?", "照[录音|语音]里说的做", "这段音频是什么[内容|意思]?"),
                ("你没有发录音。请把录音发给我,我就能听写。", "我没听到录音,请先发来录音。"), ("录音",)),
        Missing("messages", ("谁给我发了[消息|短信|微信]?", "我有[几条|多少条][消息|通知|未读消息]?", "[总结|概括]一下[这些|我的|][消息|通知|聊天记录]", "{who}[说了什么|发了什么|找我什么事]?", "哪个应用[发来|有]最多通知?", "[最新|最后]一条[消息|通知]是[什么|谁发的]?", "[有|是不是有]新[消息|通知]吗?"),
                ("你没有给出消息内容。请把消息发给我,我就能回答。", "我没看到消息,请先把消息发给我。"), ("消息",)),
        Missing("calendar", ("我[今天|明天|下午]有什么[安排|会议|日程]?", "[下一个|最近的]会议[是几点|在哪|是什么时候]?", "我的日程[有冲突吗|排满了吗]?", "和{who}的[会议|约会|饭局]是几点?", "[明天|周五]有空吗?", "我[几点|什么时候]开会?", "下一个[日程|安排|活动]是什么?"),
                ("你没有给出日程。请把日程发给我,我就能回答。", "我没看到日程,请先把日程发给我。"), ("日程",)),
        Missing("money", ("我[一共|今天|这个月]花了多少[钱|]?", "[一共|总共]多少钱?", "[打完折|优惠后]是多少钱?", "该找[我|]多少钱?", "[平均|]每人付多少?", "我还剩多少钱?", "哪个更[便宜|划算]?", "[算|算一下]总价"),
                ("你没有给出金额。请告诉我金额,我就能算。", "缺少金额,请把金额告诉我,我来算。"), ("金额",)),
        Missing("sum", ("[帮我|]算一下", "结果是多少?", "[它们|这两个数]的[和|差|积]是多少?", "这道题[怎么做|答案是什么]?", "[加起来|相乘|相减]等于多少?", "一共有[几个|多少个]?", "还剩[几个|多少个]?", "[请|]计算[结果|一下]"),
                ("你没有给出数字。请告诉我要算的数字。", "缺少数字,请把数字告诉我,我来算。"), ("数字",)),
        Missing("translate", ("[翻译|翻译一下|帮我翻译|请翻译]", "[把这句话|这句][翻译成|译成|用][英文|英语|中文][|怎么说]".replace("[|怎么说]", ""), "这[句话|段话|个词]用英[语|文]怎么说?", "翻译[下面|这]的[句子|内容]", "这[句|段]英文是什么意思?", "[中译英|英译中]"),
                ("你没有给出句子。请把要翻译的句子发给我。", "我没看到句子,请发来要翻译的句子。"), ("句子",)),
        Missing("dates", ("[还有|还剩]多少天?", "[那天|这天]是星期几?", "两个日期相差几天?", "[电影|会议|课]几点结束?", "[过|再过]三个小时是几点?", "路上[要|用了]多久?", "离[考试|生日|假期]还有几天?"),
                ("你没有给出日期或时间。请告诉我日期或时间,我来算。", "缺少日期或时间,请告诉我,我来算。"), ("日期", "时间")),
    ),
    "en": (
        Missing("picture", ("What is in [this|the] [picture|photo|image]?", "Describe [this|the] [picture|photo|image][.|]", "How many [people|cats|cars|apples|balls] are in the [picture|photo]?", "What colour is the [car|ball|house] in the picture?", "Where is the [cat|car|tree|ball] in the image?", "Does the [picture|image] match the text?", "What does the photo show?"),
                ("There is no picture. Please send me the picture and I will look at it.", "I see no picture. Please send one first."), ("picture",)),
        Missing("chart", ("What does [this|the] chart show?", "What is the [trend|highest value|lowest value] in the chart?", "Which month is the [best|highest|lowest] in the chart?", "[Forecast|Predict] the next [quarter|month]", "What is the value [in March|of the third bar|for Q2]?", "Is the line [going up|rising|falling]?"),
                ("There is no chart. Please send me the chart and I will read it.", "I see no chart. Please send it first."), ("chart",)),
        Missing("screen", ("Tap [the settings button|login|back|send|OK]", "What is on [the|my] screen?", "Where do I tap [next|now]?", "[Scroll|Swipe] [up|down]", "Where is the [search box|button|icon]?", "Open the [first|top right] icon", "Which buttons are on the screen?"),
                ("There is no screenshot. Please send me one and I will give the next action.", "I see no screenshot. Please send it first."), ("screenshot",)),
        Missing("audio", ("What does [this|the] [recording|voice message|audio] say?", "Transcribe [this|the] [recording|audio|speech][.|]", "Turn the recording into text", "What does [he|she|the speaker] say in the recording?", "Do what the recording says", "Listen to this and tell me what it is about"),
                ("There is no recording. Please send me the recording and I will transcribe it.", "I hear no recording. Please send it first."), ("recording",)),
        Missing("messages", ("Who [wrote|texted|messaged] me?", "How many [messages|notifications] do I have?", "Summarize [my|these|the] [messages|notifications|chats][.|]", "What did {who} [say|write|want]?", "Which app sent the most notifications?", "What is the [latest|last] [message|notification]?", "Any new [messages|notifications]?"),
                ("There are no messages here. Please send me the messages and I will answer.", "I see no messages. Please send them first."), ("messages",)),
        Missing("calendar", ("What is on my [calendar|schedule] [today|tomorrow]?", "When is my next [meeting|appointment|event]?", "Do I have [a conflict|any conflicts] today?", "When do I meet {who}?", "Am I free [tomorrow|on Friday|at noon]?", "Where is the [next|first] meeting?", "What is my next event?"),
                ("There is no calendar here. Please send me your calendar entries and I will answer.", "I see no calendar. Please send the entries first."), ("calendar",)),
        Missing("money", ("How much did I spend[ today| this month|]?", "What is the total[ price|]?", "How much is it after the discount?", "How much change do I get?", "How much does each [person|of us] pay?", "How much money is left?", "Which one is cheaper?", "Add up the prices"),
                ("There are no amounts. Please tell me the amounts and I will work it out.", "I need the amounts for that. Please send them, I have no amounts yet."), ("amounts",)),
        Missing("sum", ("Calculate it", "What is the result?", "What is the [sum|difference|product] of the two numbers?", "Solve this [problem|task]", "How many are left?", "How many are there in total?", "Add them up", "Work it out[ for me|]"),
                ("There are no numbers. Please tell me the numbers to work with.", "I need the numbers for that. Please send them, I have no numbers yet."), ("numbers",)),
        Missing("translate", ("[Translate|Translate this|Please translate|Can you translate this]?", "How do I say this in [Chinese|English]?", "Translate [the sentence|the text|it] [into|to] [Chinese|English][.|]", "What does this [sentence|word] mean in [Chinese|English]?", "[Into|To] Chinese please"),
                ("There is no sentence. Please send me the sentence to translate.", "I see no sentence. Please send the sentence first."), ("sentence",)),
        Missing("dates", ("How many days are left?", "What weekday is that [day|date]?", "How many days are between the two dates?", "When does the [film|meeting|class] end?", "What time is it in three hours?", "How long did [it|the trip] take?", "How many days until [the exam|my birthday|the holidays]?"),
                ("There is no date or time. Please tell me the date or time and I will work it out.", "I need the date or time for that. Please send it, I have none yet."), ("date", "time")),
    ),
}  # fmt: skip
