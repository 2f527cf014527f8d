"""The closed vocabulary of spoken sentences.

Chinese: a transcript of unseen words can't be right when two characters sound alike, so all words stand here and are
known to every split; what is unseen in test is the combination. Names and single words are chosen so that no two
entries of a pool sound the same (a test asks espeak).
"""

from __future__ import annotations

from autoglm_phone.train.world.lexicon import NAMES_ZH


def _pool(text: str) -> tuple[str, ...]:
    """The entries of a block: separated by "|" if it holds one, else by white space."""
    parts = text.split("|") if "|" in text else text.split()
    return tuple(" ".join(part.split()) for part in parts)


SURNAMES_ZH = "王李张刘陈杨黄赵周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯董萧程曹袁邓傅沈彭苏卢蒋蔡贾丁魏薛叶潘杜夏"
GIVEN_ZH = "伟芳娜敏静丽强磊军洋勇杰娟涛明超霞平刚华雪兰梅文志鹏浩轩雨欣佳晨天博东海波春秋云飞龙山宁乐林倩婷慧梦"
# The shared names without those that sound like another one: 何洁 and 何杰 can't be told apart by ear.
SPOKEN_NAMES_ZH = tuple(name for name in NAMES_ZH if not set(name) & set("洁靖琳岚鑫鹃余江圆"))
TITLES_ZH = _pool("老师 经理 医生 师傅 阿姨 主任 教练 律师 叔叔 总")
KIN_ZH = _pool(
    """
    妈妈 爸爸 奶奶 爷爷 姐姐 哥哥 妹妹 弟弟 老婆 老公 外婆 外公 老板 房东 邻居 同桌 室友 客服
    """
)
KIN_EN = _pool("Mom Dad Grandma Grandpa Uncle Aunt Doctor Coach")
FAMILY_EN = _pool(
    """
    my mother|my father|my sister|my brother|my wife|my husband|my boss|the office|the landlord|my teacher|
    my neighbor|my doctor|the front desk|my best friend
    """
)
APPS_ZH = _pool(
    """
    微信 支付宝 淘宝 京东 美团 抖音 微博 高德地图 百度地图 知乎 饿了么 拼多多 网易云音乐 小红书 哔哩哔哩 携程
    滴滴出行 豆瓣 今日头条 腾讯视频 爱奇艺 优酷 钉钉 飞书 相机 相册 日历 时钟 计算器 备忘录 天气 设置 浏览器
    文件管理 应用商店 电话 短信 联系人 录音机 邮箱 音乐 视频 地图 手电筒 指南针 健康 钱包 词典 铁路
    """
)
APPS_EN = _pool(
    """
    Chrome|Gmail|YouTube|Spotify|WhatsApp|Instagram|Facebook|Twitter|Uber|Amazon|Netflix|Telegram|Zoom|Reddit|
    Google Maps|TikTok|Camera|Photos|Calendar|Clock|Calculator|Notes|Weather|Settings|Messages|Phone|Contacts|
    Recorder|Mail|Music|Maps|Files|Wallet|Health|Browser|Gallery|Compass|Flashlight|App Store|Play Store|
    Podcasts|Translate|Reminders|Fitness|Keep|Drive|Slack|Pinterest
    """
)
SETTINGS_ZH = _pool(
    """
    蓝牙 无线网络 飞行模式 移动数据 定位服务 勿扰模式 省电模式 深色模式 护眼模式 自动旋转 个人热点 静音模式
    手电筒 屏幕录制 自动亮度 振动 通知 自动更新 隐私保护 面容识别 指纹解锁 锁屏密码 铃声 字体大小 显示与亮度
    声音 电池 存储空间 系统更新 关于手机 语言 输入法 辅助功能 账号与安全 夜间模式 流量统计
    """
)
SETTINGS_EN = _pool(
    """
    Bluetooth|Wi-Fi|airplane mode|mobile data|location services|do not disturb|battery saver|dark mode|
    night light|auto rotate|the hotspot|silent mode|the flashlight|screen recording|auto brightness|vibration|
    notifications|automatic updates|privacy protection|face unlock|fingerprint unlock|the screen lock|
    the ringtone|font size|display|sound|battery|storage|system update|language|keyboard|accessibility|accounts
    """
)
PLACES_ZH = _pool(
    """
    机场 火车站 地铁站 公交站 医院 学校 超市 银行 公园 图书馆 电影院 博物馆 体育馆 咖啡馆 餐厅 酒店 加油站
    停车场 药店 邮局 派出所 菜市场 购物中心 健身房 理发店 幼儿园 大学 公司 家 市政府 动物园 游泳馆 书店 面包店
    花店 洗衣店 修理厂 美术馆 科技馆 音乐厅 广场 码头 海边 山顶 植物园 火锅店 快递站 售票处 服务台 会议室
    """
)
PLACES_EN = _pool(
    """
    the airport|the train station|the subway station|the bus stop|the hospital|the school|the supermarket|
    the bank|the park|the library|the cinema|the museum|the gym|the coffee shop|the restaurant|the hotel|
    the gas station|the parking lot|the pharmacy|the post office|the police station|the market|the mall|
    the barber|the university|the office|home|city hall|the zoo|the swimming pool|the bookstore|the bakery|
    the flower shop|the laundry|the garage|the gallery|the theater|the harbor|the beach|the stadium|the garden|
    the clinic|the church|the bridge|the castle|the lake|the village|the ticket office|the meeting room|
    the town square
    """
)
CITIES_ZH = _pool(
    """
    北京 上海 广州 深圳 杭州 成都 重庆 武汉 西安 南京 天津 苏州 长沙 青岛 大连 厦门 昆明 沈阳 郑州 合肥 福州
    济南 哈尔滨 兰州 贵阳 南宁 海口 太原 长春 南昌 拉萨 银川 西宁 桂林 三亚 洛阳 宁波 无锡 珠海 东莞 香港 澳门
    台北 伦敦 巴黎 东京 纽约 柏林 罗马 悉尼 首尔 曼谷 莫斯科 新加坡
    """
)
CITIES_EN = _pool(
    """
    London Paris Berlin Madrid Rome Vienna Oslo Dublin Lisbon Prague Boston Chicago Denver Seattle Austin Miami
    Dallas Tokyo Seoul Sydney Toronto Munich Milan Geneva Athens Zurich Cairo Delhi Beijing Shanghai Singapore
    Bangkok Moscow Helsinki Stockholm Brussels Amsterdam Barcelona Houston Portland Atlanta Montreal Mumbai
    Nairobi Lima Havana Istanbul Dubai Warsaw Budapest
    """
)
SONGS_ZH = _pool(
    """
    夏天的风 远方的歌 星空 旧时光 雨后彩虹 春天在哪里 月光下的海 清晨 午夜来信 秋天的故事 故乡 少年 白云
    雪山之恋 海边的约定 回忆 晚安 再见青春 流浪的猫 小幸运 明天会更好 朋友 平凡之路
    """
)
SONGS_EN = _pool(
    """
    Summer Rain|Distant Love|Evening Star|Broken Road|Spring Song|Moonlight River|Seaside Letter|Morning Light|
    Midnight Train|Autumn Leaves|Hometown Boys|Silver Boat|Rainbow Dance|Snowy Mountain|Gentle Wind|
    Golden Heart|Yesterday|Imagine|Hotel California|Let It Be|Yellow Submarine|Happy Birthday|Lost Stars|
    City Lights|Blue Ocean
    """
)
MUSIC_ZH = _pool("轻音乐 摇滚乐 爵士乐 古典音乐 民谣 儿歌 流行歌曲 钢琴曲 英文歌 老歌 说唱 戏曲")
MUSIC_EN = _pool(
    """
    jazz|rock music|classical music|some pop songs|quiet piano music|country music|hip hop|folk songs|
    dance music|blues|opera|my favorite playlist
    """
)
GOODS_ZH = _pool(
    """
    苹果 香蕉 牛奶 面包 鸡蛋 咖啡 奶茶 果汁 饼干 蛋糕 汉堡 披萨 米饭 面条 饺子 牛肉 鸡肉 鱼 豆腐 白菜 土豆
    西红柿 西瓜 葡萄 橙子 耳机 充电器 手机壳 数据线 键盘 鼠标 背包 雨伞 水杯 毛巾 牙刷 拖鞋 帽子 外套 手套 台灯
    枕头 电池 铅笔 笔记本 电影票 门票 火车票 机票 花 礼物 洗发水 纸巾 风扇 相机 手表
    """
)
GOODS_EN = _pool(
    """
    apples bananas milk bread eggs coffee tea juice cookies cake burgers pizza rice noodles dumplings beef
    chicken fish tofu cabbage potatoes tomatoes melons grapes oranges headphones chargers cables keyboards
    umbrellas towels slippers hats jackets gloves lamps pillows batteries pencils notebooks tickets flowers
    shampoo napkins cameras watches candles blankets cups plates spoons chairs books toys stamps
    """
)
TASKS_ZH = _pool(
    """
    开会 交电费 交房租 取快递 买菜 接孩子 吃药 喝水 跑步 写作业 给花浇水 倒垃圾 还书 预约牙医 打疫苗 洗衣服
    遛狗 回邮件 交报告 面试 上课 复习 充话费 订酒店 买机票 修电脑 看电影 练琴 做饭 打扫房间 给手机充电 去健身
    参加聚会 签合同 看医生 还信用卡
    """
)
TASKS_EN = _pool(
    """
    go to the meeting|pay the electricity bill|pay the rent|pick up the package|buy groceries|pick up the kids|
    take my medicine|drink some water|go for a run|do my homework|water the plants|take out the trash|
    return the books|see the dentist|wash the clothes|walk the dog|answer the email|hand in the report|
    prepare the interview|go to class|book the hotel|buy the plane tickets|fix the computer|watch the movie|
    practice the piano|cook dinner|clean the room|charge the phone|call the bank|sign the contract|
    visit my parents|renew my passport|feed the cat|check the mailbox|change the light bulb|send the invoice
    """
)
WEEKDAYS_ZH = _pool("星期一 星期二 星期三 星期四 星期五 星期六 星期天")
WEEKDAYS_EN = _pool("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
DAYS_ZH = _pool("今天 明天 后天 今晚 明早 周末 下周 下个月 大后天")
DAYS_EN = _pool(
    """
    today|tomorrow|tonight|this weekend|next week|next month|the day after tomorrow|this evening
    """
)
PARTS_ZH = _pool("早上 上午 中午 下午 晚上")
# Everyday subjects, actions and times for plain sentences.
WHO_ZH = _pool(
    """
    我 你 他 我们 你们 我妈妈 我爸爸 我的朋友 我的同事 老师 医生 那个孩子 他的哥哥 我的邻居 经理 司机 这位客人
    两个学生 大家 小猫
    """
)
WHO_EN = _pool(
    """
    I|You|He|She|We|They|My mother|My father|My friend|My neighbor|The teacher|The doctor|The child|His brother|
    Her sister|The manager|The driver|The students|Everyone|The little cat
    """
)
ACTIONS_ZH = _pool(
    """
    喜欢喝咖啡 想学游泳 在公园散步 正在看电视 已经到家了 忘记带钥匙 买了一件新衣服 找不到手机了 在厨房做饭
    每天坐地铁上班 打算去旅行 刚刚吃过午饭 在图书馆看书 听不懂这句话 丢了一把雨伞 生病了 起得很早 睡得很晚
    需要一张地图 认识这个人 想换一台电脑 正在学习英语 会弹钢琴 住在学校旁边 迟到了十分钟 赢了这场比赛
    在门口等车 想吃面条 不喜欢下雨天 帮助了很多人 给花园浇水 带孩子去动物园 收到了一封信 正在打扫房间
    修好了自行车 画了一幅画 拍了许多照片 准备考试 参加了婚礼 预订了座位
    """
)
# (base, third person)
ACTIONS_EN: tuple[tuple[str, str], ...] = (
    ("like coffee", "likes coffee"),
    ("want to learn swimming", "wants to learn swimming"),
    ("walk in the park", "walks in the park"),
    ("watch television every night", "watches television every night"),
    ("forgot the keys", "forgot the keys"),
    ("bought a new coat", "bought a new coat"),
    ("lost the phone", "lost the phone"),
    ("cook in the kitchen", "cooks in the kitchen"),
    ("take the subway to work", "takes the subway to work"),
    ("plan a long trip", "plans a long trip"),
    ("just finished lunch", "just finished lunch"),
    ("read books in the library", "reads books in the library"),
    ("did not understand the sentence", "did not understand the sentence"),
    ("left an umbrella on the bus", "left an umbrella on the bus"),
    ("got up very early", "got up very early"),
    ("went to bed late", "went to bed late"),
    ("need a map of the city", "needs a map of the city"),
    ("know that man", "knows that man"),
    ("study English at home", "studies English at home"),
    ("play the piano well", "plays the piano well"),
    ("live next to the school", "lives next to the school"),
    ("arrived ten minutes late", "arrived ten minutes late"),
    ("won the game", "won the game"),
    ("wait at the door", "waits at the door"),
    ("would rather eat noodles", "would rather eat noodles"),
    ("hate rainy days", "hates rainy days"),
    ("helped a lot of people", "helped a lot of people"),
    ("water the garden", "waters the garden"),
    ("received a long letter", "received a long letter"),
    ("clean the room on weekends", "cleans the room on weekends"),
    ("fixed the old bicycle", "fixed the old bicycle"),
    ("painted a picture", "painted a picture"),
    ("took many photos", "took many photos"),
    ("prepare for the exam", "prepares for the exam"),
    ("went to the wedding", "went to the wedding"),
    ("booked a table by the window", "booked a table by the window"),
    ("drink tea in the afternoon", "drinks tea in the afternoon"),
    ("moved to another city", "moved to another city"),
)
WHEN_ZH = _pool("昨天 今天 明天 上周 周末 早上 中午 晚上 最近 有时候 去年 以前 现在 刚才 每天 平时")
WHEN_EN = (
    "",
    "yesterday",
    "last week",
    "this morning",
    "in the evening",
    "these days",
    "as usual",
    "again",
    "last year",
    "right now",
    "on Sunday",
    "in summer",
    "before breakfast",
    "after work",
)
LINK_ZH: tuple[str, ...] = ("，因为", "，所以", "，但是", "，而且", "，然后", "，不过")
LINK_EN: tuple[str, ...] = (", because", " and", ", but", ", so", " while", " when")
ZH_WORDS = _pool(
    """
    天空 太阳 月亮 星星 云彩 下雨 下雪 刮风 森林 草原 沙漠 河流 湖泊 大海 岛屿 高山 石头 泥土 树叶 花朵 种子
    水果 蔬菜 粮食 早餐 午饭 晚餐 厨房 客厅 卧室 阳台 窗户 门口 楼梯 电梯 屋顶 墙壁 地板 桌子 椅子 沙发 柜子
    镜子 电视 冰箱 空调 洗衣机 电脑 手机 耳机 照片 图画 颜色 红色 蓝色 绿色 黄色 黑色 白色 紫色 形状 圆形 方形
    三角 数字 字母 文章 小说 报纸 杂志 新闻 消息 邮件 信封 地址 号码 密码 名字 生日 节日 春节 中秋 国庆 假期
    旅行 行李 护照 签证 航班 火车 汽车 公交 地铁 自行车 摩托车 轮船 飞机 司机 乘客 道路 桥梁 红绿灯 路口 城市
    乡村 农民 工人 学生 老师 医生 护士 警察 律师 记者 演员 歌手 画家 作家 科学家 工程师 设计师 经理 秘书 顾客
    邻居 朋友 同学 同事 家人 父母 孩子 老人 青年 男人 女人 婴儿 身体 头发 眼睛 耳朵 鼻子 嘴巴 牙齿 脖子 肩膀
    手臂 手指 膝盖 心脏 血液 感冒 发烧 咳嗽 头疼 药片 手术 健康 运动 跑步 游泳 足球 篮球 乒乓球 羽毛球 比赛
    冠军 教练 音乐 歌曲 舞蹈 钢琴 吉他 电影 戏剧 游戏 玩具 故事 笑话 梦想 希望 快乐 悲伤 生气 害怕 惊讶 安静
    热闹 聪明 勇敢 善良 诚实 认真 努力 懒惰 漂亮 丑陋 干净 肮脏 新鲜 古老 年轻 重要 简单 困难 方便 危险 安全
    便宜 昂贵 快速 缓慢 明亮 黑暗 温暖 寒冷 炎热 潮湿 干燥 柔软 坚硬 甜美 苦涩 打开 关闭 开始 结束 继续 停止
    进入 离开 出发 到达 回来 寻找 发现 忘记 记得 学习 练习 考试 毕业 工作 休息 睡觉 起床 吃饭 喝水 洗澡 穿衣
    购物 付款 退货 借钱 还书 帮助 保护 支持 反对 同意 拒绝 选择 决定 计划 准备 完成 成功 失败 改变 增加 减少
    提高 降低 比较 检查 修理 建造 破坏 生产 销售 运输 管理 服务 介绍 说明 解释 讨论 回答 提问 讲话 聊天 写信
    读书 唱歌 跳舞 画画 拍照 上网 下载 安装 更新 删除 保存 复制 粘贴 发送 接收 搜索 登录 注册 设置 屏幕 按钮
    图标 文件 网络 信号 电池 充电 声音 亮度 闹钟 日历 天气 温度 地图 导航 相机 视频 语音 通知 短信 电话 联系人
    应用 系统 语言 时间 小时 分钟 早晨 中午 下午 晚上 昨天 今天 明天 星期 月份 季节 春天 夏天 秋天 冬天 过去
    现在 将来 永远 经常 有时 突然 终于 已经 可能 必须 应该 非常 特别 一起 苹果 香蕉 橘子 葡萄 西瓜 草莓 桃子
    柠檬 土豆 白菜 萝卜 黄瓜 茄子 豆腐 牛肉 羊肉 鸡蛋 牛奶 面包 蛋糕 饼干 巧克力 咖啡 绿茶 果汁 啤酒 盐 糖 油
    米饭 面条 饺子 包子 火锅 烧烤 老虎 狮子 大象 猴子 熊猫 兔子 老鼠 小狗 小猫 马匹 奶牛 绵羊 公鸡 鸭子 金鱼
    乌龟 蝴蝶 蜜蜂 蚂蚁 经济 政治 历史 文化 艺术 科学 技术 数学 物理 化学 地理 教育 法律 社会 国家 世界 人口
    环境 能源 石油 煤炭 电力 机器 工厂 公司 银行 股票 价格 利润 合同 客户 市场 广告 品牌 质量 数量 百分之 平均
    总共 左边 右边 前面 后面 上面 下面 里面 外面 中间 旁边 附近
    """
)
EN_WORDS = _pool(
    """
    able about above accept accident account across action active actor add address adult advice afraid after
    again age agree air airport album alive allow almost alone along already always amazing among amount
    ancient anger angry animal ankle announce annual another answer anxious apartment apple apply april area
    argue arm army around arrange arrive art article ask asleep attack attend august autumn available average
    avoid awake away awful baby back bad bag balance ball balloon banana band bank bar basic basket bath beach
    bean bear beard beat beautiful become bed bedroom before begin behind believe bell belong below belt bench
    beside best better between bicycle big bird birthday bite bitter black blanket block blood board boat body
    bone book boot border born borrow boss both bottle bottom bowl box boy brain branch brave bread breakfast
    breath bridge bright bring broad broken brother brown brush build building burn bus business busy butter
    button cabin cake calendar calm camera camp can candle captain car card care careful carpet carry castle
    cat catch cause ceiling celebrate center central century ceremony certain chain chair chalk chance change
    channel chapter charge cheap check cheese chemist chest chicken chief child choice choose church cinema
    circle city class clean clear clever climb clock close cloth cloud club coach coal coast coat coffee cold
    collect college color comb come comfort common company compare complain complete computer concert condition
    connect consider contain content continue control cook cool copper copy corner correct cost cotton cough
    count country couple courage cousin cover cow crash crazy cream create credit crime crowd cruel cry culture
    cup cupboard cure curious current curtain curve custom customer cut cycle damage dance danger dark data
    date daughter day dead deaf deal death debt december decide deep degree deliver demand dentist department
    depend describe desert design desk detail develop device dictionary diet different difficult dig dinner
    direct dirty disagree discover discuss disease dish distance divide doctor document dog dollar door double
    doubt download dozen draw dream dress drink drive drop dry duck dust duty eager early earn earth east easy
    eat edge education effect egg either electric elephant elevator else email empty enemy energy engine
    engineer enjoy enough enter entire equal error escape even evening event ever every exact exam example
    excellent exchange excited excuse exercise exit expect expensive experience expert explain express extra
    face fact factory fail fall false family famous far farm farmer fashion fast fat father fault favorite fear
    feather february feed feel fence fever few field fight fill film final find finger finish fire firm first
    fish fit fix flag flat flavor flight float flood floor fly focus fog fold follow food foot football foreign
    forest forget forgive fork form forward free freedom freeze fresh friday friend frog front fruit fuel full
    fun funny furniture future game garden gas gate gather general gentle gift giraffe girl give glad glass
    glove glue goal goat gold good govern grain grand grandmother grape grass gray green ground group grow
    guard guess guest guide guitar gun habit hair half hammer hand handle hang happen happy hard harvest hat
    hate head health heart heat heavy height hello help hide high hill history hit hobby hold holiday home
    honest honey hope horn horrible hospital hot hotel house huge human humor hungry hurry hurt husband
    ice idea imagine important improve include increase industry inform insect inside insurance interest
    internet invite iron island item jacket january jeans jewel job join joke journey joy judge juice july jump
    june keep kettle key keyboard kick kind king kiss kitchen kite knife lady lake lamp land language laptop
    large last late laugh laundry law lazy leader leaf learn leather leave left leg lemon lend lesson letter
    level library lie life lift light limit line lion lip liquid list listen little live lock lonely long look
    lorry lose loud love low lucky luggage lunch machine magazine magic main make man manage many map march
    mark market married master match material math matter maybe meal mean measure medicine melon member memory
    mention menu message metal method middle midnight mile milk mind minute mirror miss mistake mix mobile
    model modern moment monday money monkey month moon mother motor mountain mouse mouth move movie much mud
    muscle museum music must nail name narrow nation nature near neat neck need needle neighbor nephew nervous
    nest net network never news newspaper next nice noise noodle normal north notice november number nurse
    object ocean october offer office often oil old olive onion only open opinion orange order ordinary other
    outside oven owner oxygen pack page paint palace pan pants paper parcel pardon parent park part partner
    party pass passenger passport password past path patient pattern pay peach pencil people pepper perfect
    perform perhaps period permit person photo piano pick picture pig pillow pilot pink pipe place plan planet
    plant plastic plate play please plenty pocket poem point poison police polite pool poor popular position
    possible post pot potato pound powder power practice prepare present president press pretty prevent price
    print prison private prize problem produce product program promise proof protect proud provide public pull
    pump punish pupil pure purple purpose push puzzle quality quarter queen question quick quiet quite rabbit
    race radio railway rare rat reach ready real reason receive recent recipe record reduce refuse region
    regular relax remember remove rent repair repeat reply report rescue rest restaurant result return rice
    rich ride ring ripe rise river rob rock roof room rope rough round rubber rude rule run rush sad safe salad
    salt same sand sandwich saturday sauce save scale scared scarf school science scissors score screen sea
    search season seat second secret seed seldom select send sense separate september serious serve service
    several shade shadow shake shape share sharp sheep sheet shelf shell shelter shine ship shirt shoe
    shoot shop short shoulder shout show shower shut shy sick side sign silent silver similar simple since sing
    single sister size skill skin skirt sky sleep slide slip slow small smart smell smile smoke smooth snake
    snow soap social society sock soft soil soldier solve somebody song soon sorry sound soup south space speak
    special speed spell spend spider spoon sport spread spring square stadium staff stage stamp stand star
    start state station stay steam steel step stick still stomach stone stop store storm story strange street
    strong student stupid style subject success sudden sugar suggest suit summer sunday supper supply support
    sure surprise sweater sweet swim switch system table talk tall tape taste taxi teach team tear telephone
    temple tennis tent terrible test thank theater thick thin thing think thirsty thunder thursday
    ticket tidy tiger tight tiny tired title today together tomorrow tongue tonight tool tooth topic total
    touch tourist toward towel tower town toy track trade traffic train travel treat tree trip trouble truck
    true trust truth try tuesday tunnel turn twice twin type ugly umbrella uncle under understand uniform union
    unit university until upset useful usual valley value vegetable very video view village violin visit voice
    volume vote voyage waiter wake walk wall wallet want war warm warn wash watch water wave weapon wedding
    wednesday weekend weigh welcome well west wet wheel while whisper whistle wide wife wild win wind window
    wine wing winner winter wire wise wish within without woman wonder wood wooden wool word work world worry
    worse worth wrist wrong yard year yellow yesterday young zebra zoo
    """
)
