"""Wordings that only training (and validation) use, beside the tables that all splits share.

The tables of `notify`, `oos`, `tools` and `smalltalk` decide by hash which of their wordings are held out for unseen test
samples, so nothing can be added to them without another test set. What stands here is drawn as well in training, unless
it comes out as a held-out wording (`grammar.say_one`, `persona.ask_intent`).
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from autoglm_phone.train.world.sample import Lang

NOTIFY: dict[str, dict[Lang, tuple[str, ...]]] = {
    "who_wrote": {"zh": ("[找出|说出|告诉我]发“{t}”[的人|的是谁]", "“{t}”[这句话|这句|这一条][是哪位发来的|出自谁之手|谁写的]?", "[写|发]“{t}”的人叫什么?", "[我想知道|帮我看看]“{t}”是哪个人发给我的", "是哪位[说了|写了|发了]“{t}”?"), "en": ('[I want to know|Tell me|Find out] who [sent|wrote] "{t}"', '[The words|The text|The line] "{t}": [who wrote them|who sent that|from whom]?', 'By whom was "{t}" [sent|written]?', 'Somebody [wrote|sent me] "{t}". [Who|Which person] was it?', 'Name the [sender|writer|author] of "{t}"')},
    "what_said": {"zh": ("[把|]{who}[的消息|发来的内容|的那条消息][念一下|读一下|给我看看|告诉我]", "[我想知道|帮我看看]{who}[给我发了什么|写了什么|跟我说了什么]", "{who}[那条|发来的那条][消息|短信][写的什么|说的什么|的内容是什么]?", "{who}[跟|对]我说了[些什么|啥|什么话]?", "[读|念]一下{who}[的消息|发的内容|发来的话]"), "en": ("[What|What exactly] was {who}'s [text|note|line]?", "[Could you|Can you] [read|repeat|show] [me |]what {who} [wrote|sent]?", "[I'd like|I want] to [know|hear|read] what {who} [wrote|sent|had to say]", "[Find|Look up|Quote|Repeat] the [text|message|words] of {who}", "{who} [sent|wrote] [me |]something. What [was it|does it say]?")},
    "which_app": {"zh": ("{who}[通过|在|从][什么|哪个|哪款][应用|软件|App][给我发的|找的我|发来的]?", "[我想知道|告诉我]{who}用的是[哪个|什么][应用|App|软件]", "[去|打开]哪个[应用|App]能看到{who}的消息?"), "en": ("[Through|With|By] which app did {who} [write|text|contact me|send it]?", "[Tell me|Name] the app [that {who} used|of {who}'s message|that {who}'s message came through]", "Which app [holds|has|shows|brought] the message of {who}?")},
    "how_many": {"zh": ("[这里|上面|列表里][一共|总共|][有|列了|是][几|多少]条[消息|通知|]?", "[告诉我|说出|数出][消息|通知]的[条数|数量|总数]", "[消息|通知]的[数量|条数|总数]是多少?"), "en": ("[What|Tell me what] is the [count|total] of [messages|notifications][ here|]?", "How many [entries|messages|notifications|texts] [does the list hold|are in the list|came in|have arrived]?", "[Tell me|Say] how many [messages|notifications] there are")},
    "how_many_app": {"zh": ("[数一下|数数|统计]{app}的[消息|通知][有几条|数量|]", "[我想知道|告诉我]{app}[上|里]有[几|多少]条[消息|通知|]", "{app}[的|][消息|通知][数量|条数]是[多少|几]?"), "en": ("How many of [them|these|the messages] [are|came] [from|through|in] {app}?", "[What is|Tell me] the [number|count] of {app} [messages|notifications|entries]?", "{app}: how many [messages|notifications|entries]?")},
    "meet_when": {"zh": ("[我|]跟{who}[约在|约的是|约好]几点[见面|见|碰面|碰头|]?", "[告诉我|说出]和{who}[见面|碰面]的时间", "{who}[想|要|让我][几点|什么时候]见面?"), "en": ("[Tell me|Find] the time [of|for] [the|my] meeting with {who}", "When [am I seeing|am I going to meet|should I meet] {who}?", "[For what time|For when] did {who} [suggest|propose] [to meet|a meeting]?")},
    "meet_where": {"zh": ("[告诉我|说出]和{who}[见面|碰面|碰头]的[地点|地方]", "[我|]要去[什么地方|哪里|哪儿][找|见]{who}?", "{who}[让我去|约我去|叫我到|要我去]哪[里|儿]?"), "en": ("[Tell me|Name] the place [where I meet|of the meeting with|where I am to see] {who}", "Where [am I seeing|should I go to meet|am I going to meet] {who}?", "Which place did {who} [name|suggest|propose]?")},
    "bring_what": {"zh": ("[告诉我|说出]要给{who}带的东西", "{who}[托|请|麻烦]我[带|拿|捎]什么?", "[我|]该[替|为|给]{who}[带|拿|捎][点|些|]什么?"), "en": ("[Tell me|Name] [the thing|what] {who} [wants|asked for|needs me to bring]", "Which thing [am I to bring|should I take along|do I bring] for {who}?", "What [is it that|was it that] {who} wants brought?")},
    "late_by": {"zh": ("[还要|要|得]等{who}[几|多少]分钟?", "[告诉我|说出]{who}[迟到|晚到]的[分钟数|时间]", "{who}[说|讲]会[晚|迟]多久[到|]?"), "en": ("[Tell me|Say] how [many minutes|much] late {who} [is|will be]", "How long [is|will be] the delay of {who}?", "{who} is late: how many minutes?")},
    "call_when": {"zh": ("[告诉我|说出]和{who}[通话|打电话|通电话]的时间", "{who}[约|约我|想]几点[通话|通电话|打电话]?", "[要|该][几点|什么时候]跟{who}[通话|打电话]?"), "en": ("[Tell me|Find] the time of the [phone |]call with {who}", "When [should|do|will] {who} and I [phone|speak|ring each other]?", "For what time is the call with {who} [planned|set]?")},
    "last": {"zh": ("[排在|]最后[的|][那条|一条|那一条]是哪位发[的|来的]?", "[最近|最新|最晚]的一条来自哪位?", "[告诉我|说出][最后|最近]发消息的人"), "en": ("[Tell me|Name|Find] [the sender of the last message|who wrote most recently|who wrote last]", "[From whom|By whom] is the [last|newest|latest|most recent] [one|message|text]?", "Who was the [last|latest] [person|one] to [write|text] me?")},
    "first": {"zh": ("[排在|]最前面[的|][那条|一条]是[谁|哪位]发[的|来的]?", "[告诉我|说出][最早|最先|第一个]发消息的人", "[第一个|头一个]发来消息的[人是谁|是谁|是哪位]?"), "en": ("[Tell me|Name|Find] [the sender of the first message|who wrote first|who was first to write]", "[From whom|By whom] is the [first|earliest|oldest] [one|message|text]?", "Who was the first [person|one] to [write|text] me?")},
    "nobody": {"zh": ("[把|]{who}[的消息|发来的内容|的那条消息][念一下|读一下|给我看看|告诉我]", "[我想知道|帮我看看]{who}[给我发了什么|写了什么|跟我说了什么]", "{who}[跟|对]我说了[些什么|啥|什么话]?", "[读|念]一下{who}[的消息|发的内容|发来的话]", "[我和|和|跟]{who}约在[几点|哪里]?", "{who}用哪个[应用|App]找的我?"), "en": ("[What|What exactly] was {who}'s [text|note|line]?", "[Could you|Can you] [read|repeat|show] [me |]what {who} [wrote|sent]?", "[I'd like|I want] to [know|hear|read] what {who} [wrote|sent|had to say]", "[Find|Look up|Quote|Repeat] the [text|message|words] of {who}", "[Where|When] does {who} want to [see|meet] me?", "Which app did {who} [write in|text me from]?")},
    "event_when": {"zh": ("[告诉我|说出|查一下]{e}的[开始时间|时间]", "{e}[从|在|要|][几点|什么时间]开始?", "[我|][几点|什么时候][有|要去|参加]{e}?"), "en": ("[Tell me|Find|Give me] the start[ing time|] of the {e}", "[From when|At which hour] is the {e}?", "When [do I have|am I due at|must I be at] the {e}?")},
    "event_end": {"zh": ("[告诉我|说出|查一下]{e}的[结束时间|散场时间]", "{e}[要|会|]开到几点?", "{e}[几点|什么时候][完|结束|散]?"), "en": ("[Tell me|Find|Give me] the end of the {e}", "[Till when|Up to when] does the {e} [go on|last|run]?", "When will the {e} [be over|finish|be done]?")},
    "event_where": {"zh": ("[告诉我|说出|查一下]{e}的[地点|地方]", "{e}[安排在|设在|开在]哪[里|儿]?", "[我|]要去哪[里|儿]参加{e}?"), "en": ("[Tell me|Find|Give me] the [place|location] of the {e}", "[At|In] which place is the {e}?", "Where [must|should] I [be|go] for the {e}?")},
    "event_count": {"zh": ("[告诉我|说出|数出][安排|日程|活动]的[数量|个数|总数]", "[这天|上面|列表里][一共|][排了|列了|有][几|多少][个|项][安排|日程|活动]?"), "en": ("[Tell me|Say] how many [events|entries|appointments] there are", "How many [things|events|items] [are planned|does the calendar hold|are on the list]?", "[What is|Tell me] the count of [events|entries|appointments]?")},
    "event_next": {"zh": ("[已经|都]{t}了,[后面|接着|下面]是什么[安排|活动]?", "[过了|从]{t}[以后|起],[最近|接着][的一个|的]安排是什么?", "{t}[过后|以后][我|][要做什么|有什么事|轮到什么]?"), "en": ("[The clock shows|The time is] {t}. What [do I have|is coming up|comes] next?", "[After|Past] {t}, [which event is the next|what is my next entry|what do I have next]?", "What follows [in my calendar |]after {t}?")},
    "event_first": {"zh": ("[告诉我|说出][排在最前|最先|头一个]的[安排|活动|日程]", "[一天|全天][从|由]什么[安排|活动]开始?", "[最先|头一个][要做|参加]的是什么?"), "en": ("[Tell me|Name] the [first|earliest] [entry|event|appointment]", "[With what|With which event] does the day [start|begin]?", "Which [entry|appointment] is the earliest?")},
    "event_last": {"zh": ("[告诉我|说出][排在最后|最晚]的[安排|活动|日程]", "[一天|全天]以什么[安排|活动]结束?", "[最后|最晚][要做|参加]的是什么?"), "en": ("[Tell me|Name] the [last|latest|final] [entry|event|appointment]", "[With what|With which event] does the day end?", "Which [entry|appointment] is the latest?")},
    "conflict": {"zh": ("[检查|查|看]一下[时间|安排|日程][有没有|是否][冲突|重叠|撞车]", "有[安排|活动|日程]的时间[撞在一起|重了|互相冲突]吗?", "[两个|哪些][安排|活动]时间[碰在一起|重叠]?"), "en": ("[Check|See|Tell me] [if|whether] any [events|entries|appointments] [clash|overlap|collide]", "Are there [two events|two entries] at the same time?", "Do two of [my|the] [appointments|entries|events] [collide|overlap|run at the same time]?")},
    "free": {"zh": ("[看看|查一下|告诉我]{t}[我|]有没有空", "{t}[我|][走得开|抽得出时间|闲着]吗?", "{t}[安排了事情|排了活动|有安排]吗?"), "en": ("[Check|See|Tell me] [if|whether] I am free at {t}", "[Would I have time|Would I be free|Could I take a call] at {t}?", "Is {t} [still free|open|taken]?")},
}  # fmt: skip

OOS: dict[str, dict[Lang, tuple[str, ...]]] = {
    "concept": {"zh": ("[跟我|给我]讲[讲|一下]{x}[是怎么回事|的道理|的来历]", "{x}[到底|究竟]是[怎么回事|什么概念|什么]?", "[老师|同学|孩子]问我{x}[是什么|怎么理解],我[不会|答不上来]", "[请|]用[通俗|简单]的话[解释|说明]{x}", "{x}[主要|一般|通常][用在哪里|包括哪些内容|分几类]?", "[有关|关于]{x}[的知识|的资料],[给我|帮我][讲讲|找找]"), "en": ("[Help me|I need to] understand {x}", "[In simple words|In short|For a child], what is {x}?", "[My teacher|My son|A friend] asked me about {x}. What do I [say|answer]?", "What [exactly |really |]is [meant by|behind|the idea of] {x}?", "[Walk me through|Give me an overview of|Teach me the basics of] {x}", "What [should|must|do] I know about {x}?")},
    "person": {"zh": ("[给我|跟我]讲讲{x}[这个人|的一生|的事迹|]", "{x}[是干什么出名的|有什么成就|有哪些作品|属于哪个朝代]?", "[我想|想]了解[一下|]{x}[这个人|]"), "en": ("What do you know about {x}?", "In which year was {x} born?", "What made {x} [famous|so well known|rich]?", "[Tell me|Describe] the life of {x}", "[Was|Is] {x} [a writer|a king|a scientist|an actor]?")},
    "place": {"zh": ("{x}[属于|位于]哪个[国家|省|地方]?", "{x}[的人口|的面积][大概|]有多[少|大]?", "[给我|]讲讲{x}[的风土人情|这个地方|]", "[打算|想]去{x}[旅游|玩],[有什么建议|注意什么]?"), "en": ("In [which|what] country is {x}?", "What is {x} [known for|like]?", "[I am going|We travel] to {x}. [Any tips|What should I see]?", "How many people live in {x}?")},
    "work": {"zh": ("[给我|]讲[讲|一下]《{x}》[的情节|讲的是什么|]", "《{x}》[属于什么类型|有几集|有多少章]?"), "en": ("[Tell me|Give me] the [story|plot|ending] of {x}", "How [long|old] is {x}?", "Which [actor|author|singer] is behind {x}?")},
    "live": {"zh": ("[帮我|给我][查|看]一下[现在|今天]的{x}", "[最近|这两天]{x}[有什么变化|是涨是跌|怎么样]?"), "en": ("[Look up|Get|Find] [today's|the current|the newest] {x}", "What [happened|is going on] with the {x} [today|lately|this week]?")},
    "private": {"zh": ("[你知道|你晓得]我[是谁|多大|住哪里|喜欢什么]吗?", "[帮我|]找一下{who}的[电话|住址|邮箱]"), "en": ("[Guess|Do you know] [my name|my age|where I live|who I am]?", "[Find|Give me|Look up] the [address|phone number|e-mail] of {who}")},
    "act": {"zh": ("[麻烦|请]给{who}[打电话|发邮件|转账]", "[现在|马上]帮我[订票|叫外卖|订酒店|打车]", "[请|]把[空调|电视|灯|窗帘][打开|关掉|关了]"), "en": ("[Please |]ring {who}[ for me| now|]", "[Order|Get] me [a taxi|some food|two tickets][ now|]", "[Switch|Turn] the [heating|television|lamp|fan] [on|off][ please|]")},
}  # fmt: skip
MISSING: dict[Lang, dict[str, tuple[str, ...]]] = {
    "zh": {
        "picture": ("[看|看看][图|照片],[里面有什么|上面是什么]?", "[给|为]这[张图|幅画]写[一句|][说明|描述]", "[数一数|数数][图|照片]里的[人|车|花]"),
        "chart": ("[描述|概括|分析]一下[图表|曲线|这张图表]的[走向|变化|趋势]", "图表里[五月|第二季度|最后一年]的[数值|销量]是多少?", "[按|照]图表[推算|预估][下个月|下一年|下一季度]"),
        "screen": ("[帮我|请][按|点][右下角|左上角|中间]的[按钮|图标]", "[往左|往右|往上]滑", "[怎么|如何]在[这个|当前]页面[返回|登录|搜索]?", "[打开|进入][第二个|最后一个][应用|选项]"),
        "audio": ("[把|帮我把][语音|录音|音频][写|整理]成文字", "[听一下|听听][录音|语音],[说了什么|回答问题]", "[给|为][录音|语音]配字幕"),
        "messages": ("[读|念]一下[我的|]未读[消息|短信]", "[谁|哪个人]最后给我[发了消息|来信]?", "[看看|查一下]有没有{who}的消息"),
        "calendar": ("[看看|查一下]我[今天|明天|这周]的[日程|安排]", "[告诉我|]接下来有什么[会议|活动]?", "我[周三|明早|下午三点]有空吗?"),
        "translate": ("[帮我|]把[它|这段]翻[成|译成]英文", "[译|翻译]成中文"),
    },
    "en": {
        "picture": ("[Write|Give me] a caption for [this|the] [photo|picture|image]", "[Look at|See] the [photo|picture]: what is [there|on it]?", "Count the [trees|dogs|people] in the [photo|picture|image]"),
        "chart": ("[Describe|Sum up|Explain] the [course|development|trend] of the chart", "[Read|What is] the value [of June|of the last bar|for 2020] in the chart", "From the chart, [guess|estimate|predict] the next [year|month|value]"),
        "screen": ("[Press|Click|Touch] the [button|icon] [at the bottom|at the top left|in the middle]", "[Swipe|Scroll] [left|right|further]", "[Go|Take me] to the [second|last] [entry|app] on the screen"),
        "audio": ("[Write down|Type up|Put into text] the [recording|voice message|audio]", "[Listen to|Hear] the [recording|audio] and [answer|write it down]", "[Make|Give me] a transcript[ of the recording|]"),
        "messages": ("[Read|Show] me my [unread |new ][messages|texts]", "Did {who} write to me?", "Who was the last to [write|text|message] me?"),
        "calendar": ("[Look at|Check] my [calendar|schedule] for [today|tomorrow|this week]", "What [meetings|appointments] do I have [today|next week|on Monday]?", "Is there [anything|something] [at three|on Friday|tonight] in my calendar?"),
        "translate": ("[Put|Turn] [this|it] into [Chinese|English]", "[Chinese|English] translation[, please|]"),
    },
}  # fmt: skip

TALK: dict[Lang, dict[str, tuple[str, ...]]] = {
    "zh": {
        "hello": ("[在|]忙[吗|不忙],[打个招呼|来看看你]", "[又见面了|我又来了|好久不见][,你好|呀|啦]"),
        "thanks": ("[太|真是|实在]感激[不尽|你|你了]", "[你的|]帮助[太|真]及时了,[谢谢|感谢]"),
        "bye": ("[我要|我得]去忙了,[回聊|再见|拜拜]", "[先|]聊到这[儿|里],[走啦|撤了|再见]"),
        "praise": ("[没想到|原来]你这么[厉害|聪明|能干]", "[这个|你的]回答[真不错|太棒了|很到位]"),
        "blame": ("[你|]又[搞砸|弄错|答错]了[,真失望|]", "[这|]完全[不是我要的|没有帮到我|答非所问]"),
        "joke": ("[来|给我来]个段子[吧|]", "[说|讲][个|点]有意思的[让我乐一乐|逗逗我|]"),
        "sad": ("[我|][好|有点]想哭,[今天很糟|心里难受]", "[最近|今天]什么都不顺[,很沮丧|,好难受|]"),
        "happy": ("[我|]今天[特别|超级|格外][开心|高兴]", "[报告|分享]一个喜讯,[我通过了|我赢了|我升职了]"),
    },
    "en": {
        "hello": ("[It's me|Here I am] again, [hello|hi]", "[Long time no see|Nice to be back][, hello|!|]"),
        "thanks": ("[That was|You were] [so|very|really] [kind|helpful][, thanks|, thank you]", "[A big|A huge] thank you[ to you|]"),
        "bye": ("[I'm off|I am off|Time to go][, bye|, goodbye|, see you]", "[That's it|Enough] for [now|today], [bye|goodbye|see you]"),
        "praise": ("[Who knew you were|I had no idea you were] so [clever|good|smart]", "[That|Your answer] [was|is] [spot on|really helpful|first class]"),
        "blame": ("[You failed|You let me down][ again|]", "[That|This] [doesn't help|is no help|makes no sense][ at all|]"),
        "joke": ("Let me hear something [funny|to laugh about]", "[Do you know|Come on, tell me] a [good |]joke"),
        "sad": ("[Nothing|Not a thing] goes [right|well] [today|for me|these days]", "I [could|want to|might] cry, [it was a bad day|I feel awful|everything is wrong]"),
        "happy": ("[This|Today] is [the best day|a wonderful day|such a good day][ for me|]", "I am [over the moon|in a great mood|full of joy][ today|]"),
    },
}  # fmt: skip

# Tools by their first name; {0}, {1} as in `lexicon_tools`.
TOOLS: dict[str, dict[Lang, tuple[str, ...]]] = {
    "get_weather": {"zh": ("[我想知道|告诉我]{0}[现在|今天|]的天气", "{0}[要带伞|要穿厚点|热]吗?"), "en": ("[I'd like to know|Tell me] the weather [of|in] {0}", "Do I need [an umbrella|a coat] in {0}?")},
    "set_alarm": {"zh": ("[明天|]{0}[把我叫醒|叫醒我|响铃]", "[我需要|我要][一个|]{0}的闹钟"), "en": ("[Get me up|Let the alarm ring|Ring] at {0}", "[Put|Make] the alarm [for|at] {0}")},
    "set_timer": {"zh": ("[过|再过]{0}分钟[叫我|告诉我|提醒]", "[给我|帮我]计{0}分钟"), "en": ("[Tell me|Ring] when {0} minutes are over", "[I need|Give me] a timer for {0} minutes")},
    "send_message": {"zh": ("[帮我|替我|]给{0}[留言|捎句话|发条信息]:{1}", "[跟|对]{0}说[一声|]:{1}"), "en": ("[Let {0} know|Write to {0}|Drop {0} a line]: {1}", "[I want to|Please] [write|send] {0} this: {1}")},
    "call_contact": {"zh": ("[帮我|]接通{0}", "[我想|想]跟{0}[打电话|说话|讲电话]"), "en": ("[Get {0} on the phone|Connect me with {0}|Give {0} a call]", "I want to [talk|speak] to {0}")},
    "open_app": {"zh": ("[我要|我想][用|开|看]{0}", "[切到|跳到|运行]{0}"), "en": ("[Go to|Run|Switch to|Show me] {0}", "I want to use {0}")},
    "play_music": {"zh": ("[给我|]放[一首|]{0}[听听|]", "[我要|想]听{0}"), "en": ("[Let me hear|I feel like hearing|Let's listen to] {0}", "[Could you|Can you] play {0}?")},
    "navigate": {"zh": ("[我要|我想]去{0}", "[到|往]{0}[的路线|的路怎么走|怎么过去]?"), "en": ("[Guide me|Lead me|I want to go] to {0}", "What is the way to {0}?")},
    "add_event": {"zh": ("[帮我|]记[一下|住]:{1}[有|是]{0}", "{1}[安排|约了|要参加]{0},[加进日程|写进日历]"), "en": ("[Plan|Book|Note] {0} for {1} in my calendar", "{0} is at {1}: [put it in my calendar|add it to the calendar]")},
    "translate_text": {"zh": ("[请问|]{1}里“{0}”[怎么讲|怎么表达|叫什么]?", "[我想知道|告诉我]“{0}”的{1}[说法|译文]"), "en": ('[Give me|I need] the {1} [word |]for "{0}"', 'What do you call "{0}" in {1}?')},
    "get_stock_price": {"zh": ("[看看|告诉我]{0}[的股价|股票多少钱]", "{0}[现价|最新价][是多少|]?"), "en": ("How much is [a share of {0}|one share of {0}]?", "[Tell me|Get|Look up] the share price of {0}")},
    "search_web": {"zh": ("[网上|上网][找|搜]一下{0}", "[我想|]在网上了解{0}"), "en": ("[Google|Browse for] {0}", "See what the web says about {0}")},
    "set_volume": {"zh": ("[请|]把声音[开|调]到{0}", "[我要|]音量[变成|改成]{0}"), "en": ("[Turn|Bring] the volume to {0}", "[I want|Make] the volume [at |]{0}")},
    "set_brightness": {"zh": ("[请|]把亮度[开|改|变]到{0}", "[我要|]亮度[变成|改成]{0}"), "en": ("[Turn|Bring] the brightness to {0}", "[I want|Make] the brightness {0}")},
    "create_note": {"zh": ("[写进|存到]备忘录:{0}", "[请|]把这句话记下:{0}"), "en": ("[Keep in mind|Jot down|Add to my notes]: {0}", "[Make|Create] a note that says: {0}")},
    "convert_currency": {"zh": ("[我有|手上有]{0}{1},[能换|值|合]多少{2}?", "[算一下|]{0}{1}等于多少{2}"), "en": ("I have {0} {1}. How much is that in {2}?", "What do I get in {2} for {0} {1}?")},
    "order_taxi": {"zh": ("[我要|我想]{1}[坐车|打车]去{0}", "[安排|约]一辆[出租车|车],{1}到{0}"), "en": ("[Send|Call] me a taxi at {1}, I go to {0}", "I must get to {0}, [taxi at|pick me up at] {1}")},
    "find_contact": {"zh": ("[我需要|给我|告诉我]{0}的[电话|号码|手机号]", "[打给|联系]{0}用[什么|哪个]号码?"), "en": ("[Give me|I need|Tell me] [{0}'s number|the phone number of {0}]", "How can I [reach|phone] {0}: which number?")},
    "turn_on_light": {"zh": ("[我要|]{0}[亮灯|的灯亮起来]", "[请|]把{0}[照亮|弄亮]"), "en": ("[It is dark in {0}|I can't see in {0}]: [switch on the light|lights on]", "[Lights on|Put the light on] in {0}")},
    "track_parcel": {"zh": ("[我的|]包裹{0}[走到哪里|现在在哪|到哪儿]了?", "[看看|告诉我]{0}的物流[状态|进度|]"), "en": ("Has [package|parcel] {0} arrived?", "[Tell me|Check|Look up] where [package|parcel] {0} is")},
}  # fmt: skip
