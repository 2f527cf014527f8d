"""The vocabulary of the drawn world: parts that names, messages and titles are composed of, and fixed UI words.

Fixed words (setting names, button captions, real app names) are the language of every phone and are shared by all
splits, like grammar. Everything composed of the parts below is dealt out to splits by `fillings.compose`.
"""

from __future__ import annotations

from autoglm_phone.train.world.sample import Lang


def _split(text: str) -> list[str]:
    """Words of a list; separated by "|" where words hold spaces."""
    return text.split("|" if "|" in text else " ")


SURNAMES = (
    "王李张刘陈杨黄赵周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶余"
    "潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段钱汤"
)

GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅建国文辉志鹏宇浩然子轩雨涵欣怡梓萱思琪佳雪晨"
    "阳天一诺嘉博晓东海波春燕秋月冬云飞龙凤鸣小林青山安宁乐瑶琳倩颖婷慧雅诗梦洁莹晶"
)

FIRST = _split(
    "Alice Bob Carol David Emma Frank Grace Henry Ivy Jack Kate Leo Mia Noah Olivia Peter Queen Rose Sam Tina "
    "Victor Wendy Adam Bella Chris Diana Eric Fiona George Hannah Ian Julia Kevin Laura Mark Nina Oscar Paul "
    "Rachel Steve Tom Una Vera Will Zoe Amy Ben Clara Dan Ella Felix Gina Hugo Irene James Kelly Lily Max Nora "
    "Owen Penny Quinn Ruby Simon Tara"
)

LAST = _split(
    "Smith Jones Brown Taylor Wilson Davis White Clark Hall Lewis Young King Wright Green Baker Hill Scott Adams "
    "Nelson Carter Mitchell Turner Parker Evans Edwards Collins Stewart Morris Murphy Cook Rogers Reed Bailey "
    "Bell Cooper Ward Cox Gray Lane Fox Wood Kim Lee Park Chen Wang Patel Singh Costa Silva Weber Meyer Novak "
    "Berg Holm"
)

ROLES_ZH = _split("老师 经理 同学 医生 师傅 阿姨 主任 房东 教练 律师")

ADJ: dict[Lang, list[str]] = {
    "zh": _split(
        "新鲜 有机 轻便 经典 迷你 智能 进口 便携 家用 儿童 高清 保温 无线 复古 加厚 防水 纯棉 不锈钢 可折叠 "
        "多功能 手工 红色 蓝色 白色 黑色 绿色 大号 小号"
    ),
    "en": _split(
        "Fresh Organic Light Classic Mini Smart Travel Home Kids Warm Wireless Retro Soft Waterproof Cotton "
        "Steel Folding Handmade Red Blue White Black Green Large Small Slim Quiet Bright"
    ),
}

GOODS: dict[Lang, list[str]] = {
    "zh": _split(
        "牛奶 苹果 耳机 水杯 背包 台灯 雨伞 键盘 鼠标 拖鞋 毛巾 茶叶 饼干 面条 外套 球鞋 手表 枕头 书桌 沙发 "
        "相机 音箱 充电器 手机壳 牙刷 洗发水 咖啡豆 葡萄 橙子 酸奶 面包 积木 风扇 帽子 围巾 手套 电饭锅 笔记本"
    ),
    "en": _split(
        "Milk Apples Headphones Bottle Backpack Lamp Umbrella Keyboard Mouse Slippers Towel Tea Cookies Noodles "
        "Jacket Sneakers Watch Pillow Desk Sofa Camera Speaker Charger Case Toothbrush Shampoo Coffee Grapes "
        "Oranges Yogurt Bread Blocks Fan Hat Scarf Gloves Cooker Notebook"
    ),
}

DISH_A: dict[Lang, list[str]] = {
    "zh": _split("红烧 清蒸 宫保 麻辣 香煎 糖醋 蒜蓉 番茄 黑椒 孜然 酸菜 鱼香 干锅 咖喱 芝士 椒盐 葱油 酱爆"),
    "en": _split(
        "Spicy Grilled Steamed Roast Garlic Tomato Pepper Curry Cheese Sweet Crispy Smoked Lemon Honey Herb Baked"
    ),
}

DISH_B: dict[Lang, list[str]] = {
    "zh": _split("牛肉 鸡丁 排骨 鱼片 豆腐 虾仁 茄子 土豆丝 肉丝 白菜 鸡翅 羊肉 炒饭 拉面 牛腩 鸡排 米线 蛋饭"),
    "en": _split(
        "Beef Chicken Ribs Fish Tofu Shrimp Eggplant Potato Pork Cabbage Wings Lamb Rice Noodles Steak Salad "
        "Soup Burger"
    ),
}

SHOP_A: dict[Lang, list[str]] = {
    "zh": _split("老街 小南国 张记 云上 百味 幸福里 东门 海边 山里 绿色 一品 家常 四季 好运 星光 胡同 江南 川香"),
    "en": _split(
        "Golden Corner River Happy Green Lucky Star Old Town Garden Ocean Mountain Little Royal Sunny Urban Maple Blue"
    ),
}

SHOP_B: dict[Lang, list[str]] = {
    "zh": _split("面馆 小厨 饭店 火锅 茶餐厅 烧烤 饺子馆 快餐 咖啡 甜品 粥铺 酒楼"),
    "en": _split("Kitchen Diner Cafe Grill Bistro House Noodles Pizza Bakery Bar Deli Sushi"),
}

SONG_A: dict[Lang, list[str]] = {
    "zh": _split("夏天 远方 晚风 星空 旧梦 雨后 春天 月光 海边 清晨 午夜 秋天 故乡 少年 白云 彩虹 雪山 微光"),
    "en": _split(
        "Summer Distant Evening Starry Broken Rainy Spring Moonlight Seaside Morning Midnight Autumn Hometown "
        "Young Silver Rainbow Snowy Gentle"
    ),
}

SONG_B: dict[Lang, list[str]] = {
    "zh": _split("的约定 的歌 来信 之恋 的路 的你 旅行 的风 日记 的船 等我 不见 在唱 的梦 故事 回忆"),
    "en": _split("Promise Song Letter Love Road Dream Journey Wind Diary Boat Heart Story Memory River Light Dance"),
}

CITIES: dict[Lang, list[str]] = {
    "zh": _split(
        "北京 上海 广州 深圳 杭州 成都 重庆 武汉 西安 南京 天津 苏州 长沙 青岛 大连 厦门 昆明 沈阳 郑州 合肥 "
        "福州 济南 哈尔滨 兰州 贵阳 南宁 海口 太原"
    ),
    "en": _split(
        "London Paris Berlin Madrid Rome Vienna Oslo Dublin Lisbon Prague Boston Chicago Denver Seattle Austin "
        "Miami Dallas Tokyo Seoul Sydney Toronto Munich Milan Geneva Athens Zurich Cairo Delhi"
    ),
}

ROADS: dict[Lang, list[str]] = {
    "zh": _split("中山 人民 解放 建设 和平 长江 黄河 新华 文化 学院 滨江 光明 朝阳 花园 胜利 团结 青年 湖滨"),
    "en": _split(
        "Park Main Oak Maple Lake Hill Church River Station Garden King Queen Mill Bridge High Cedar Elm Market"
    ),
}

ROAD_ENDS: dict[Lang, list[str]] = {
    "zh": _split("路 街 大道 巷"),
    "en": _split("Street Road Avenue Lane"),
}

PLACES: dict[Lang, list[str]] = {
    "zh": _split(
        "火车站 图书馆 体育馆 医院 博物馆 动物园 商场 电影院 公园 银行 超市 大学 机场 地铁站 邮局 药店 酒店 加油站"
    ),
    "en": _split(
        "Station|Library|Stadium|Hospital|Museum|Zoo|Mall|Cinema|Park|Bank|Market|University|Airport|Metro|"
        "Post Office|Pharmacy|Hotel|Gas Station"
    ),
}

TOPIC_A: dict[Lang, list[str]] = {
    "zh": _split("周末 春季 公司 小区 学校 全市 本月 今晚 国庆 新年 社区 部门 年度 产品 手机 健康 家庭 城市"),
    "en": _split(
        "Weekend Spring Company Local School City Monthly Tonight Holiday New Year Team Annual Product Phone "
        "Health Family Travel Winter"
    ),
}

TOPIC_B: dict[Lang, list[str]] = {
    "zh": _split(
        "活动通知 旅行计划 会议记录 购物清单 学习笔记 工作总结 体检报告 菜谱大全 运动会 读书会 停水公告 促销活动 "
        "摄影比赛 预算表 值班表 日程安排"
    ),
    "en": _split(
        "Event|Travel Plan|Meeting Notes|Shopping List|Study Notes|Work Report|Health Check|Recipe Book|"
        "Sports Day|Book Club|Sale|Photo Contest|Budget|Duty List|Schedule|Guide"
    ),
}

CHAT: dict[Lang, list[str]] = {
    "zh": _split(
        "{time}在{place}见 我到{place}了 {good}买好了 今晚吃{dish}吧 会议改到{time}了 记得带{good} 你在哪里？ "
        "好的，没问题 路上堵车，{time}到 周末去{city}玩吗 帮我买{good} 文件发你了 谢谢你的{good} 生日快乐！ "
        "车票是{time}的 明天{time}上课 一共{n}元 有{n}个人来"
    ),
    "en": _split(
        "Meet at {time} at the {place}|I am at the {place}|I bought the {good}|Dinner is {dish}|"
        "The meeting is at {time}|Bring the {good}|Where are you?|OK, no problem|Traffic, there at {time}|"
        "Trip to {city}?|Please buy {good}|File sent|Thanks for the {good}|Happy birthday!|"
        "The train is at {time}|Class at {time}|It is {n} dollars|{n} people will come"
    ),
}

APPS: dict[Lang, list[str]] = {
    "zh": _split(
        "微信 支付宝 淘宝 抖音 美团 高德地图 京东 微博 知乎 哔哩哔哩 小红书 网易云音乐 百度 拼多多 饿了么 "
        "滴滴出行 携程 铁路12306 QQ 钉钉 今日头条 腾讯视频 爱奇艺 优酷 大众点评 豆瓣 得物 闲鱼 飞书 腾讯会议 "
        "夸克 快手"
    ),
    "en": _split(
        "WhatsApp Gmail Chrome YouTube Spotify Maps Telegram Twitter Facebook Instagram TikTok Netflix Amazon "
        "Uber Slack Zoom Reddit Discord Booking Expedia Duolingo Notion PayPal LinkedIn Temu Snapchat Shazam "
        "Tinder Signal Waze"
    ),
}

APP_A: dict[Lang, list[str]] = {
    "zh": _split("星河 蓝鲸 小鹿 青木 云端 飞鸟 极光 松果 白兔 快乐 一点 天天 山海 橙子 月亮 海豚 麦田 风车"),
    "en": _split(
        "Nova Blue Deer Pine Cloud Bird Aurora Hazel Rabbit Happy Daily Ocean Orange Moon Dolphin Wind Pixel Fast"
    ),
}

APP_B: dict[Lang, list[str]] = {
    "zh": _split("音乐 笔记 天气 银行 出行 外卖 相机 阅读 健身 学习 菜谱 记账 视频 地图 邮箱 翻译"),
    "en": _split("Music Notes Weather Bank Ride Food Cam Read Fit Learn Chef Pay Video Maps Mail Talk"),
}

# icon: (zh, en)
SYSTEM_APPS: dict[str, tuple[str, str]] = {
    "settings": ("设置", "Settings"),
    "phone": ("电话", "Phone"),
    "sms": ("短信", "Messages"),
    "camera": ("相机", "Camera"),
    "photo": ("相册", "Gallery"),
    "calendar": ("日历", "Calendar"),
    "alarm": ("时钟", "Clock"),
    "calculator": ("计算器", "Calculator"),
    "music": ("音乐", "Music"),
    "folder": ("文件管理", "Files"),
    "sun": ("天气", "Weather"),
    "globe": ("浏览器", "Browser"),
    "email": ("邮件", "Mail"),
    "bag": ("应用商店", "App Store"),
    "edit": ("便签", "Notes"),
    "video": ("视频", "Videos"),
    "person": ("联系人", "Contacts"),
    "map": ("地图", "Maps"),
    "mic": ("录音机", "Recorder"),
    "card": ("钱包", "Wallet"),
    "palette": ("主题", "Themes"),
    "game": ("游戏中心", "Game Center"),
    "fitness": ("健康", "Health"),
    "translate": ("翻译", "Translate"),
    "shield": ("安全中心", "Security"),
    "book": ("阅读", "Books"),
    "cloud": ("云服务", "Cloud"),
    "bulb": ("智能家居", "Smart Home"),
}

# icon, zh, en, whether it has a switch
SETTINGS: list[tuple[str, str, str, bool]] = [
    ("airplane", "飞行模式", "Airplane mode", True),
    ("wifi", "无线网络", "Wi-Fi", True),
    ("bluetooth", "蓝牙", "Bluetooth", True),
    ("data", "移动数据", "Mobile data", True),
    ("signal", "个人热点", "Hotspot", True),
    ("pin", "定位服务", "Location", True),
    ("bell", "通知管理", "Notifications", False),
    ("volume", "声音与振动", "Sound", False),
    ("brightness", "显示与亮度", "Display", False),
    ("palette", "壁纸与主题", "Wallpaper", False),
    ("lock", "密码与安全", "Security", False),
    ("shield", "隐私保护", "Privacy", False),
    ("battery", "电池", "Battery", False),
    ("storage", "存储空间", "Storage", False),
    ("apps", "应用管理", "Apps", False),
    ("person", "账号", "Accounts", False),
    ("globe", "语言", "Language", False),
    ("calendar", "日期与时间", "Date and time", False),
    ("keyboard", "输入法", "Keyboard", False),
    ("mobile", "关于手机", "About phone", False),
    ("refresh", "系统更新", "System update", False),
    ("cloud", "云备份", "Backup", True),
    ("rotate", "自动旋转", "Auto-rotate", True),
    ("eye", "护眼模式", "Eye comfort", True),
    ("sun", "深色模式", "Dark mode", True),
    ("flash", "省电模式", "Power saving", True),
    ("block", "勿扰模式", "Do not disturb", True),
    ("cast", "投屏", "Cast", False),
    ("fitness", "健康使用", "Screen time", False),
    ("help", "帮助与反馈", "Help", False),
    ("card", "移动支付", "Payments", False),
    ("mic", "语音助手", "Voice assistant", True),
    ("key", "应用锁", "App lock", True),
    ("headset", "耳机设置", "Headset", False),
    ("print", "打印服务", "Printing", False),
    ("school", "学生模式", "Student mode", True),
    ("up", "手势导航", "Gestures", True),
    ("emoji", "表情键盘", "Emoji keyboard", True),
    ("volume", "按键音", "Key sounds", True),
    ("child", "儿童模式", "Kids mode", True),
]
