"""The parallel lexicon of the translation grammar: one fixed English form for each Chinese one.

Nouns carry their article. Verbs list base / third person / past / -ing and the classes of objects that they take.
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    zh: str
    base: str
    third: str
    past: str
    ing: str
    objects: tuple[str, ...]
    place_ok: bool = True  # whether "at a place" may follow


@dataclass(frozen=True)
class Person:
    """be: am / is / are; third: takes the third person singular."""

    zh: str
    en: str
    obj: str
    be: str
    third: bool


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    out = []
    for part in text.replace("\n", " ").split(","):
        if part.strip():
            zh, en = part.strip().split("=")
            out.append((zh, en))
    return tuple(out)


PEOPLE: tuple[Person, ...] = (
    Person("我", "I", "me", "am", False), Person("你", "you", "you", "are", False), Person("他", "he", "him", "is", True), Person("她", "she", "her", "is", True),
    Person("我们", "we", "us", "are", False), Person("他们", "they", "them", "are", False),
    *(Person(zh, en, en, "is", True) for zh, en in _pairs("""我妈妈=my mother,我爸爸=my father,我姐姐=my sister,我哥哥=my brother,我爷爷=my grandfather,我奶奶=my grandmother,
        我朋友=my friend,我同事=my colleague,我同学=my classmate,我邻居=my neighbor,我老板=my boss,老师=the teacher,医生=the doctor,护士=the nurse,司机=the driver,
        警察=the policeman,服务员=the waiter,经理=the manager,客户=the client,房东=the landlord,他妻子=his wife,她丈夫=her husband,我儿子=my son,我女儿=my daughter,
        我叔叔=my uncle,我阿姨=my aunt,秘书=the secretary,工程师=the engineer,厨师=the cook,学生=the student""")),
)  # fmt: skip

NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "food": _pairs("""苹果=apples,香蕉=bananas,面包=bread,米饭=rice,面条=noodles,饺子=dumplings,鸡蛋=eggs,蔬菜=vegetables,鱼=fish,牛肉=beef,鸡肉=chicken,蛋糕=cake,
        饼干=cookies,巧克力=chocolate,西瓜=watermelon,橙子=oranges,葡萄=grapes,土豆=potatoes,汤=soup,沙拉=salad,汉堡=a hamburger,披萨=a pizza,冰淇淋=ice cream,早饭=breakfast,午饭=lunch,晚饭=dinner"""),
    "drink": _pairs("水=water,茶=tea,咖啡=coffee,牛奶=milk,果汁=juice,啤酒=beer,可乐=cola,热水=hot water,豆浆=soy milk,柠檬水=lemonade"),
    "goods": _pairs("""一本书=a book,一支笔=a pen,一把雨伞=an umbrella,一件外套=a coat,一件衬衫=a shirt,一双鞋=a pair of shoes,一顶帽子=a hat,一个包=a bag,一部手机=a phone,一台电脑=a computer,
        一张桌子=a table,一把椅子=a chair,一盏灯=a lamp,一辆自行车=a bicycle,一辆车=a car,一块手表=a watch,一副眼镜=a pair of glasses,一副耳机=a pair of headphones,一个充电器=a charger,一束花=a bunch of flowers,
        一份礼物=a gift,一张票=a ticket,一张地图=a map,一台相机=a camera,一个杯子=a cup,一个枕头=a pillow,一条毛巾=a towel,一个箱子=a suitcase"""),
    "media": _pairs("""电影=a movie,电视=television,新闻=the news,照片=the photos,视频=a video,比赛=the game,表演=the show,地图=the map,日历=the calendar,菜单=the menu"""),
    "text": _pairs("""这封邮件=this email,这条消息=this message,这本书=this book,这篇文章=this article,报告=the report,合同=the contract,那封信=that letter,报纸=the newspaper,说明书=the manual,一首诗=a poem,作业=the homework,一份计划=a plan"""),
    "app": _pairs("""相机=the camera,日历=the calendar,地图=the map,浏览器=the browser,计算器=the calculator,闹钟=the alarm,相册=the album,音乐=the music player,短信=the messages,设置=the settings,邮箱=the mailbox,备忘录=the notes,通讯录=the contacts,文件夹=the folder,天气=the weather app"""),
    "switch": _pairs("""手机=the phone,电视=the television,空调=the air conditioner,电脑=the computer,蓝牙=Bluetooth,无线网络=the Wi-Fi,飞行模式=airplane mode,静音模式=silent mode,深色模式=dark mode,定位=location,移动数据=mobile data,手电筒=the flashlight,灯=the light,收音机=the radio,通知=notifications"""),
    "work": _pairs("""项目=the project,会议=the meeting,考试=the exam,工作=the work,练习=the exercise,表格=the form,设计=the design,任务=the task,演讲=the speech"""),
    "room": _pairs("房间=the room,厨房=the kitchen,办公室=the office,窗户=the window,桌子=the table,车=the car,地板=the floor,浴室=the bathroom,衣服=the clothes,盘子=the plates"),
    "skill": _pairs("英语=English,中文=Chinese,数学=math,音乐=music,历史=history,编程=programming,法语=French,科学=science,画画=painting,游泳=swimming"),
    "sport": _pairs("篮球=basketball,足球=football,网球=tennis,乒乓球=table tennis,排球=volleyball,羽毛球=badminton,游戏=games,棒球=baseball"),
    "file": _pairs("这张照片=this photo,这个文件=this file,这个视频=this video,这段录音=this recording,这个应用=this app,这首歌=this song,这份文件=this document,截图=the screenshot,密码=the password,账号=the account"),
    "item": _pairs("钥匙=the keys,钱包=the wallet,护照=the passport,雨伞=the umbrella,充电器=the charger,手机=the phone,眼镜=the glasses,书包=the schoolbag,行李=the luggage,包裹=the parcel,身份证=the ID card,信用卡=the credit card,耳机=the headphones,外套=the coat"),
}  # fmt: skip


def _verb(row: str) -> Verb:
    zh, base, third, past, ing, objects, *flags = row.split()
    base, third, past, ing = (form.replace("_", " ") for form in (base, third, past, ing))
    return Verb(zh, base, third, past, ing, tuple(objects.split("+")), "x" not in flags)


VERBS: tuple[Verb, ...] = tuple(
    _verb(row)
    for row in """吃 eat eats ate eating food
喝 drink drinks drank drinking drink
买 buy buys bought buying food+drink+goods
卖 sell sells sold selling food+goods
做 make makes made making food
准备 prepare prepares prepared preparing food+work
看 watch watches watched watching media
读 read reads read reading text
写 write writes wrote writing text
检查 check checks checked checking text+work+item
翻译 translate translates translated translating text
打印 print prints printed printing text
打开 open opens opened opening app x
关闭 turn_off turns_off turned_off turning_off switch x
开启 turn_on turns_on turned_on turning_on switch x
完成 finish finishes finished finishing work
讨论 discuss discusses discussed discussing work
开始 start starts started starting work
取消 cancel cancels cancelled cancelling work x
打扫 clean cleans cleaned cleaning room x
洗 wash washes washed washing room x
整理 tidy tidies tidied tidying room x
学习 study studies studied studying skill
练习 practice practices practiced practicing skill
教 teach teaches taught teaching skill
打 play plays played playing sport
发送 send sends sent sending file x
删除 delete deletes deleted deleting file x
保存 save saves saved saving file x
下载 download downloads downloaded downloading file x
分享 share shares shared sharing file x
修改 change changes changed changing file+text x
找 look_for looks_for looked_for looking_for item+goods
带 bring brings brought bringing item+goods x
拿 take takes took taking item x
丢 lose loses lost losing item
借 borrow borrows borrowed borrowing goods x
修理 repair repairs repaired repairing switch x
用 use uses used using app+switch x
需要 need needs needed needing goods+item x
喜欢 like likes liked liking food+drink+skill+sport x
等 wait_for waits_for waited_for waiting_for person
帮助 help helps helped helping person
见 meet meets met meeting person
拜访 visit visits visited visiting person x
联系 contact contacts contacted contacting person x
感谢 thank thanks thanked thanking person x
邀请 invite invites invited inviting person x
通知 inform informs informed informing person x""".splitlines()
)
STATIVE = frozenset({"需要", "喜欢"})  # never "be needing"

PLACES = _pairs("""在家=at home,在学校=at school,在公司=at the company,在超市=at the supermarket,在图书馆=at the library,在餐厅=at the restaurant,在公园=in the park,在医院=at the hospital,在机场=at the airport,
    在火车站=at the train station,在咖啡店=at the coffee shop,在商店=at the store,在办公室=in the office,在教室=in the classroom,在厨房=in the kitchen,在酒店=at the hotel,在银行=at the bank,在体育馆=at the gym,
    在电影院=at the cinema,在书店=at the bookstore,在地铁上=on the subway,在公交车上=on the bus,在火车上=on the train,在楼下=downstairs,在门口=at the door,在海边=by the sea,在市场=at the market,在房间里=in the room""")  # fmt: skip
GO_TO = _pairs("""学校=school,公司=the company,超市=the supermarket,图书馆=the library,餐厅=the restaurant,公园=the park,医院=the hospital,机场=the airport,火车站=the train station,商店=the store,银行=the bank,体育馆=the gym,电影院=the cinema,
    书店=the bookstore,北京=Beijing,上海=Shanghai,博物馆=the museum,动物园=the zoo,海边=the seaside,邮局=the post office,酒店=the hotel,市场=the market""")  # fmt: skip
PAST = _pairs(
    "昨天=yesterday,昨天晚上=last night,上周=last week,上个月=last month,去年=last year,刚才=just now,前天=the day before yesterday,上周末=last weekend,三天前=three days ago,一小时前=an hour ago,上周五=last Friday,两周前=two weeks ago"
)
FUTURE = _pairs(
    "明天=tomorrow,明天早上=tomorrow morning,明天下午=tomorrow afternoon,今晚=tonight,下周=next week,下个月=next month,明年=next year,后天=the day after tomorrow,这个周末=this weekend,一小时后=in an hour,下周一=next Monday,三天后=in three days,下午三点=at three in the afternoon,早上八点=at eight in the morning"
)
HABIT = _pairs(
    "每天=every day,每天早上=every morning,每天晚上=every evening,每周=every week,每个周末=every weekend,每周一=every Monday,每个月=every month,每年=every year"
)
OFTEN = _pairs("经常=often,有时=sometimes,总是=always,通常=usually,很少=rarely")

ADJECTIVES = _pairs("""好=good,新=new,旧=old,大=big,小=small,贵=expensive,便宜=cheap,漂亮=beautiful,干净=clean,安静=quiet,方便=convenient,有趣=interesting,重要=important,简单=easy,难=difficult,快=fast,慢=slow,重=heavy,轻=light,安全=safe,危险=dangerous,
    热=hot,冷=cold,远=far,近=near,长=long,短=short,高=high,低=low,忙碌=busy,舒服=comfortable,有用=useful,奇怪=strange,暗=dark,亮=bright,吵=noisy,软=soft,硬=hard""")  # fmt: skip
MOODS = _pairs(
    "高兴=happy,累=tired,忙=busy,生气=angry,难过=sad,饿=hungry,渴=thirsty,担心=worried,紧张=nervous,激动=excited,害怕=afraid,满意=satisfied,健康=healthy,年轻=young,聪明=smart,善良=kind,迟到=late,安全=safe"
)
SUBJECT_THINGS = _pairs("""这部手机=this phone,这本书=this book,这家餐厅=this restaurant,这个房间=this room,那辆车=that car,这道题=this question,这个城市=this city,那条路=that road,这件衣服=this piece of clothing,这个应用=this app,这张照片=this photo,那部电影=that movie,
    屏幕=the screen,电池=the battery,网络=the network,音量=the volume,价格=the price,天气=the weather,这个箱子=this box,这把椅子=this chair,声音=the sound,密码=the password,这家酒店=this hotel,火车=the train,这首歌=this song,工作=the work""")  # fmt: skip
CAUSES = _pairs("""下雨了=it is raining,下雪了=it is snowing,天气很好=the weather is good,天气很冷=the weather is cold,电池没电了=the battery is dead,网络很慢=the network is slow,时间不够=there is not enough time,商店关门了=the store is closed,路上堵车=there is a traffic jam,火车晚点了=the train is late,
    他病了=he is ill,价格太高=the price is too high,手机坏了=the phone is broken,今天是假期=today is a holiday,作业太多=there is too much homework,声音太小=the sound is too low""")  # fmt: skip
CONDITIONS = _pairs(
    """明天下雨=it rains tomorrow,明天天气好=the weather is good tomorrow,你有时间=you have time,你需要帮助=you need help,你有问题=you have a question,手机没电=the phone has no power,网络断开=the network is down,你累了=you are tired,他不来=he does not come,价格便宜=the price is low,你到了=you arrive,会议取消=the meeting is cancelled"""
)
PHRASES = _pairs("""手机没电了=The phone is out of power,请把音量调大=Please turn up the volume,请把音量调小=Please turn down the volume,请把屏幕调亮=Please make the screen brighter,请稍等=Please wait a moment,我听不懂=I do not understand,请再说一遍=Please say it again,我迷路了=I am lost,多少钱=How much is it,请问洗手间在哪里=Where is the restroom please,
    祝你好运=Good luck,生日快乐=Happy birthday,新年快乐=Happy New Year,很高兴认识你=Nice to meet you,好久不见=Long time no see,没关系=It does not matter,一路平安=Have a safe trip,请帮帮我=Please help me,我马上到=I will be there soon,路上小心=Be careful on the way""")  # fmt: skip
ON_THINGS = _pairs(
    "桌子上=on the table,椅子上=on the chair,书包里=in the schoolbag,房间里=in the room,冰箱里=in the fridge,箱子里=in the box,手机里=in the phone,车里=in the car,公园里=in the park,门口=at the door,床上=on the bed,抽屉里=in the drawer,墙上=on the wall,学校附近=near the school"
)
EXIST = _pairs(
    "一本书=a book,一只猫=a cat,一只狗=a dog,一把钥匙=a key,一杯水=a cup of water,一张照片=a photo,三个苹果=three apples,两把椅子=two chairs,一部手机=a phone,一封信=a letter,很多人=many people,两个孩子=two children,一个钱包=a wallet,一台电脑=a computer,一把雨伞=an umbrella,四个杯子=four cups,一家银行=a bank,一份报纸=a newspaper,五条消息=five messages,一个包裹=a parcel"
)
