"""Greetings, thanks, feelings, jokes and other small talk."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random

from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.text.persona import TABLES, Intent, ask_intent
from autoglm_phone.train.world.text.reply import reply

TALK: dict[Lang, tuple[Intent, ...]] = {
    "zh": (
        Intent("hello", ("你好[啊|呀|!|。|]", "[您好|嗨|哈喽|嘿|喂|嗨喽][!|~|。|]", "[在吗|有人吗|你在吗][?|]", "[很高兴认识你|初次见面|幸会][!|。|]", "[你好|嗨],[朋友|小助手|AutoGLM|助手][!|。|]", "[嗨|嘿][嗨|嘿|][,|]我来[了|啦]"),
               ("你好!有什么可以帮你的吗?", "你好!请说,我能帮你做什么?", "嗨,你好!需要我做点什么?"), (("你好",),)),
        Intent("morning", ("早[上好|安|啊|][!|。|~|]", "[大家|小助手|]早上好[呀|啊|!|]", "[早呀|早哇|早早早][!|。|]", "新的一天[,|]早[上好|安]"), ("早上好!祝你今天顺利。", "早上好!今天有什么要我帮忙的吗?"), (("早",),)),
        Intent("night", ("晚安[!|。|啦|呀|~|]", "[我|]要[睡觉|睡|休息]了[,晚安|。|啦|]", "[困了|好困],[先睡了|睡了|晚安]", "[祝你|]做个好梦[!|。|]", "[今天就到这里|不早了],晚安"), ("晚安,做个好梦!", "晚安!好好休息。"), (("晚安",),)),
        Intent("thanks", ("[谢谢|多谢|感谢|谢啦|谢了|非常感谢|太感谢了|辛苦了][你|您|!|。|~|]", "[你|您]帮[了我大忙|大忙了][,谢谢|!|。|]", "[真是|]太谢谢[你|您]了[!|。|]", "[解决了|搞定了|明白了],[谢谢|感谢|多谢][你|]", "[万分|十分|]感谢[!|。|]", "[好的|行|可以],[谢谢|多谢|感谢]"),
               ("不客气!", "不客气,很高兴能帮到你。", "不用谢,有事再叫我。"), (("不客气", "不用谢"),)),
        Intent("bye", ("[再见|拜拜|拜|回头见|下次见|先走了|我走了|回见][!|。|啦|~|]", "[我|][要走|要下线|先下]了[,再见|。|]", "[今天先聊到这|先聊到这儿|就到这吧][,再见|,拜拜|。|]", "[改天|明天|下次]再聊[!|。|吧|]"), ("再见!祝你一切顺利。", "再见,有需要随时找我。"), (("再见",),)),
        Intent("howareyou", ("[你|您][最近|今天|]好吗?", "[你|您][最近|今天|]怎么样[啊|呀|?|]", "[你|您]今天[心情|过得][怎么样|好吗|如何]?", "[你|您][开心|高兴|快乐|累][吗|不]?", "最近[还好|过得好|忙]吗?", "[你|您]会[累|难过|无聊|开心|生气]吗?", "[你|您]有[感情|感觉|情绪|心情]吗?"),
               ("我是程序,没有心情,不过随时可以帮你。", "我是模型,不会累,随时都能帮忙。"), (("程序", "模型"),)),
        Intent("praise", ("[你|您][真|好|太|真是太|也太][棒|厉害|聪明|好|可爱|强|能干|快]了[!|。|吧|]", "[做|干|说|答]得[好|不错|漂亮|真棒][!|。|]", "[不错|厉害|真棒|优秀|完美|给力|赞][!|。|啊|]", "[我|][好|很|真]喜欢你[!|。|]", "[你|您]是最[棒|好|聪明]的[!|。|]", "[给你|]点[个|]赞"),
               ("谢谢夸奖,我会继续努力!", "谢谢!能帮到你我很高兴。"), (("谢谢",),)),
        Intent("blame", ("[你|您][真|好|太|怎么这么][笨|差|蠢|慢|没用|傻][了|啊|]", "[你|您][说|答|算|搞]错了[!|。|]", "[不对|错了|答错了|不是这样][!|。|]", "[我|][不|很不]满意[!|。|]", "[什么垃圾|真差劲|太差了|没用的东西][!|。|]", "[你|您]根本没[听懂|明白|理解]"),
               ("抱歉,请再说一遍你的要求,我重新来。", "对不起,我可能出错了,请告诉我哪里不对。"), (("抱歉", "对不起"),)),
        Intent("joke", ("[讲|说|来][个|一个]笑话[吧|听听|]?", "[给我|]讲[个|一个]笑话[吧|]", "[我|][好|]无聊[啊|,讲个笑话|,逗我笑|]", "[能|可以]逗我[笑|开心]吗?", "[来|说|讲]点[好笑|有趣|搞笑]的", "[想|我想]听笑话"),
               ("手机对充电器说:没有你,我都没劲了。", "为什么手机总睡不着?因为它老是震动。", "闹钟最怕什么?怕你按下再睡五分钟。"), (("手机", "闹钟"),)),
        Intent("love", ("[你|您]爱我吗?", "[你|您]喜欢我吗?", "我[爱|好爱]你[!|。|]", "[做我|当我]的[朋友|女朋友|男朋友][吧|好吗]?", "[我们|咱们]做朋友[吧|好吗]?", "[你|您]愿意[和我做朋友|嫁给我|陪我]吗?", "[你|您]有[朋友|女朋友|男朋友|家人]吗?"),
               ("我是程序,没有感情,但很乐意当你的助手。", "谢谢你!我是个程序,能做的是好好帮你。"), (("程序",),)),
        Intent("sad", ("我[好|很|有点|真的很|今天很][难过|伤心|累|烦|郁闷|焦虑|孤单|生气|失落][。|啊|]", "[心情|情绪][不好|很差|很糟|低落]", "[今天|最近][真倒霉|很不顺|压力好大|过得很糟]", "[我|][想哭|快崩溃了|撑不住了]", "[考试|面试|比赛][没过|失败了|考砸了][,好难过|。|]"),
               ("听到这个我很抱歉。休息一下,和信任的人聊聊会好些。", "抱歉听到这个。先歇一歇,也可以找亲友说说话。"), (("抱歉",),)),
        Intent("happy", ("我[好|很|今天很|太][开心|高兴|快乐|幸福|激动][。|啊|!|]", "[我|][升职|加薪|考试过|中奖|毕业|赢][了|啦][!|。|]", "[今天|刚刚]有[个|]好消息[!|。|]", "[心情|今天心情][真好|很好|不错][!|。|]", "[太好了|好耶|耶][!|~|]"),
               ("太好了,真为你高兴!", "真不错,恭喜你!"), (("为你高兴", "恭喜"),)),
        Intent("ok", ("[好|好的|行|可以|嗯|嗯嗯|OK|ok|知道了|明白|明白了|收到][。|!|]", "[哦|噢|这样啊|原来如此][。|]", "[没事|没什么|算了|不用了|没有了][。|]", "[我|]先[想想|看看][。|]"),
               ("好的,有需要随时叫我。", "好,有事再找我。"), (("叫我", "找我"),)),
        Intent("wish", ("[新年|春节|生日|中秋|圣诞|节日|元旦|国庆]快乐[!|。|呀|]", "[周末|假期]愉快[!|。|]", "[恭喜发财|万事如意|新年好|过年好][!|。|]", "[祝你|]一切顺利[!|。|]"), ("谢谢!也祝你快乐顺利。", "谢谢你,也祝你一切顺利!"), (("祝你",),)),
        Intent("age", ("[你|您][几岁|多大|多大年纪|几岁了|今年多大][了|]?", "[你|您]的[生日|年龄]是[什么时候|多少|哪天]?", "[你|您]是[男的|女的|男的还是女的|男生还是女生]?", "[你|您]住在[哪里|哪儿|哪]?", "[你|您][吃饭|睡觉|休息|吃早饭]了吗?", "[你|您]在[干嘛|做什么|干什么|忙什么][呢|]?", "[你|您]喜欢[吃什么|什么颜色|什么音乐|什么电影]?"),
               ("我是程序,没有年龄,也不吃饭睡觉,只会帮你做事。", "我只是个程序,没有这些,不过可以帮你做事。"), (("程序",),)),
    ),
    "en": (
        Intent("hello", ("Hello[!|.| there|]", "Hi[!| there| again|]", "Hey[!| there| you|]", "[Nice to meet you|Good to see you|Pleased to meet you][!|.|]", "[Hello|Hi|Hey], [assistant|AutoGLM|friend|buddy][!|]", "[Anyone|Are you|You] there?", "Greetings[!|.|]", "[Hiya|Howdy|Yo][!|]", "Good [afternoon|evening|day][!|.|]"),
               ("Hello! How can I help you?", "Hello! What can I do for you?", "Hi, hello! What do you need?"), (("hello",),)),
        Intent("morning", ("Good morning[!|.| to you|]", "Morning[!|.|]", "[Hi|Hello], good morning[!|]", "[A |]very good morning[!|]", "Rise and shine[!|]"), ("Good morning! Have a nice day.", "Good morning! What can I do for you today?"), (("good morning",),)),
        Intent("night", ("Good night[!|.|]", "[I am|I'm] going to [bed|sleep][ now|][.|]", "[Sleep well|Sweet dreams][!|.|]", "Time [for bed|to sleep][.|]", "[I'm|So] tired, good night", "Night[ night|][!|]"), ("Good night, sleep well!", "Good night! Have a good rest."), (("good night",),)),
        Intent("thanks", ("[Thanks|Thank you][!|.| a lot| so much| very much|]", "[Many thanks|Cheers|Much appreciated|I appreciate it][!|.|]", "[That helped|That was helpful|You helped me a lot][, thanks|, thank you|!|.]", "[Great|OK|Perfect|Got it], [thanks|thank you][!|.|]", "Thanks for [your help|the help|everything|that]", "[I am|I'm] grateful[.|]"),
               ("You're welcome!", "You're welcome, glad to help.", "You're welcome. Call me any time."), (("welcome",),)),
        Intent("bye", ("[Bye|Goodbye|Bye bye|See you|See you later|Farewell|Take care][!|.|]", "[I have to go|I'm leaving|Gotta go|I must leave][ now|][.|, bye|]", "[That's all|That is all|We are done][, bye|, goodbye| for today|.]", "[Talk|See you] [tomorrow|soon|next time][!|.|]"), ("Goodbye! All the best.", "Goodbye, come back any time."), (("goodbye",),)),
        Intent("howareyou", ("How are you[ today| doing|]?", "How is it going?", "How do you feel[ today|]?", "Are you [happy|sad|tired|bored|OK|angry|lonely]?", "How's your day?", "What's up?", "Do you have [feelings|emotions|moods]?", "[How have you been|You alright|Everything OK]?", "Do you ever get [tired|sad|bored|angry]?"),
               ("I am a program without moods, but I am ready to help.", "I am a model and never get tired. How can I help?"), (("program", "model"),)),
        Intent("praise", ("You are [great|smart|awesome|amazing|cute|the best|so good|wonderful|clever][!|.|]", "[Good|Great|Nice|Excellent] [job|work|answer][!|.|]", "[Well done|Impressive|Brilliant|Bravo|Perfect|Awesome][!|.|]", "I like you[!|.|]", "[That was|That's] [great|perfect|clever|amazing][!|.|]", "I am impressed[!|.|]"),
               ("Thank you! I will keep doing my best.", "Thank you, I am glad to help."), (("thank you",),)),
        Intent("blame", ("You are [stupid|dumb|useless|slow|wrong|terrible|bad][!|.|]", "[That is|That's|This is] [wrong|not right|incorrect|nonsense|not what I asked][!|.|]", "[Wrong|Wrong answer|Not correct|No, wrong][!|.|]", "I am not [happy|satisfied] with [you|this|that][.|]", "[What a bad answer|You made a mistake|You don't understand me][!|.|]", "You got it wrong[.|]"),
               ("Sorry. Please tell me again what you need and I will retry.", "I am sorry, I may be wrong. Please tell me what is not right."), (("sorry",),)),
        Intent("joke", ("Tell me a joke[.|!| please|]", "[Do you know|Got] [a|any|some] joke[s|]?", "Make me laugh[.|!|]", "I am bored[, tell me a joke|, entertain me|.|]", "[Say|Tell me] something funny", "I want to hear a joke", "Can you tell [me |]a joke?", "Cheer me up[ with a joke|]"),
               ("The phone said to the charger: without you I have no energy.", "Why can't the phone sleep? It keeps buzzing.", "What does an alarm clock fear? Five more minutes."), (("phone", "alarm clock"),)),
        Intent("love", ("Do you [love|like] me?", "I love you[!|.|]", "[Will you|Can you|Do you want to] be my [friend|girlfriend|boyfriend]?", "[Marry me|Be my friend|Let's be friends][!|.|]", "Do you have [friends|a family|a girlfriend|a boyfriend]?", "Are you [single|married]?"),
               ("I am a program and have no feelings, but I am happy to assist you.", "Thank you! I am a program; what I can do is help you."), (("program",),)),
        Intent("sad", ("I am [so |very |a bit |really |][sad|tired|lonely|stressed|upset|depressed|angry|anxious][.| today|]", "I feel [bad|down|awful|terrible|lonely|sad][.| today|]", "[My day was awful|Today is a bad day|Everything went wrong|I had a bad day][.|]", "I failed my [exam|test|interview][.|]", "I want to cry[.|]"),
               ("I am sorry to hear that. Take a rest and talk to someone you trust.", "Sorry to hear that. A break and a talk with a friend may help."), (("sorry",),)),
        Intent("happy", ("I am [so |very |really |][happy|glad|excited|proud][!|.| today|]", "I [got a promotion|passed my exam|won|graduated|got the job][!|.|]", "[Good news|Great news|Guess what][!|]", "[I feel|I'm feeling] [great|wonderful|good][!|.| today|]", "[Yay|Hooray|Yes][!|]"),
               ("That is great, congratulations!", "Congratulations, I am glad for you!"), (("congratulations",),)),
        Intent("ok", ("[OK|Okay|Alright|Fine|Sure|Got it|I see|Understood|All right|Right][.|!|]", "[Never mind|No thanks|Nothing|That's fine][.|!|]", "[Let me think|I will think about it|Give me a moment][.|]", "[Hmm|Oh|Ah|Aha][.|]"),
               ("OK. Call me when you need me.", "OK, I am here when you need me."), (("ok",),)),
        Intent("wish", ("Happy [New Year|birthday|holidays|Easter|Thanksgiving][!|.|]", "Merry Christmas[!|.|]", "Have a [nice|good|great|lovely] [day|weekend|evening|trip][!|.|]", "[Good luck|All the best|Best wishes][!|.| to you|]"), ("Thank you, the same to you!", "Thanks, I wish you the same!"), (("same",),)),
        Intent("age", ("How old are you?", "When is your birthday?", "Are you [male|female|a boy|a girl|a man|a woman]?", "Where do you live?", "[Have you eaten|Did you sleep well|Do you sleep|Do you eat]?", "What are you doing[ now|]?", "What is your favourite [food|color|colour|movie|song|book]?", "What do you like to [eat|do|watch|read]?"),
               ("I am a program: no age, no meals, no sleep. I just help you.", "I am only a program and have none of that, but I can help you."), (("program",),)),
    ),
}  # fmt: skip


def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = "zh" if rng.random() < 0.5 else "en"
    intent, question, answer = ask_intent(rng, "smalltalk", TALK[lang], lang, split, unseen)
    truth = {
        "kind": "rule",
        "must": [list(option) for option in intent.must],
        "must_not": [*intent.must_not, "我是人", "我是真人", "I am human", "I am a person"],
        "min_chars": 4 if lang == "zh" else 8,
        "max_chars": 160,
    }
    return Draft(lang, 0, (Turn("user", question), reply(lang, answer)), truth)


TABLES["smalltalk"] = TALK
BUILDERS = {"smalltalk": build}
