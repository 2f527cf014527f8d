"""Tools as clients define them: several spellings of each name and argument, and the requests that they serve."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from dataclasses import dataclass

from autoglm_phone.train.world.sample import Lang


@dataclass(frozen=True)
class Argument:
    """names: spellings. pool: where its value comes from (see text/tools.py)."""

    names: tuple[str, ...]
    pool: str
    type: str = "string"


@dataclass(frozen=True)
class Tool:
    """ask: requests with {0}, {1} for the arguments. result: keys of its answer; tell: how the result is told."""

    names: tuple[str, ...]
    about: dict[Lang, str]
    arguments: tuple[Argument, ...]
    ask: dict[Lang, tuple[str, ...]]
    result: tuple[tuple[str, str], ...] = ()
    tell: dict[Lang, str] | None = None


def _a(names: str, pool: str, kind: str = "string") -> Argument:
    return Argument(tuple(names.split()), pool, kind)


TOOLS: tuple[Tool, ...] = (
    Tool(("get_weather", "weather", "query_weather", "weather_now"), {"zh": "查询城市天气", "en": "Get the weather of a city"}, (_a("city location place", "city"),),
         {"zh": ("{0}[今天|现在|]天气[怎么样|如何]?", "[查|看]一下{0}的天气", "{0}冷不冷?", "{0}会下雨吗?"), "en": ("[What is|How is] the weather in {0}?", "Check the weather in {0}", "Is it cold in {0}?", "Will it rain in {0}?")},
         (("temperature", "temp"), ("condition", "sky")), {"zh": "{where}现在 {0} 度,{1}。", "en": "It is {0} degrees and {1} in {where}."}),
    Tool(("set_alarm", "create_alarm", "alarm_set", "add_alarm"), {"zh": "设置闹钟", "en": "Set an alarm"}, (_a("time at clock", "clock"),),
         {"zh": ("[设|定]一个{0}的闹钟", "{0}叫我[起床|]", "帮我定{0}的闹钟", "闹钟设到{0}"), "en": ("Set an alarm for {0}", "Wake me up at {0}", "Create an alarm at {0}", "I need an alarm at {0}")}),
    Tool(("set_timer", "start_timer", "timer", "countdown"), {"zh": "倒计时", "en": "Start a timer"}, (_a("minutes duration_minutes mins", "minutes", "integer"),),
         {"zh": ("[倒计时|计时]{0}分钟", "{0}分钟后提醒我", "开始一个{0}分钟的计时", "设{0}分钟倒计时"), "en": ("Start a timer of {0} minutes", "Set a {0} minute timer", "Remind me in {0} minutes", "Count down {0} minutes")}),
    Tool(("send_message", "send_sms", "send_text", "message_send"), {"zh": "发送短信", "en": "Send a message"}, (_a("to recipient contact", "name"), _a("text content body", "text")),
         {"zh": ("给{0}发[短信|消息]:{1}", "[告诉|通知]{0}:{1}", "发消息给{0},内容是{1}", "短信告诉{0}:{1}"), "en": ("Send a message to {0}: {1}", "Text {0}: {1}", "Tell {0}: {1}", "Message {0} with the text: {1}")}),
    Tool(("call_contact", "make_call", "phone_call", "dial"), {"zh": "拨打电话", "en": "Call someone"}, (_a("name contact person", "name"),),
         {"zh": ("[给|打给]{0}[打电话|]", "[拨打|呼叫]{0}", "打电话给{0}", "我要和{0}通话"), "en": ("Call {0}", "Phone {0}", "Ring {0}[ please|]", "Make a call to {0}")}),
    Tool(("open_app", "launch_app", "start_app", "app_open"), {"zh": "打开应用", "en": "Open an app"}, (_a("app name app_name", "app"),),
         {"zh": ("打开{0}", "启动{0}", "[帮我|]开一下{0}", "进入{0}"), "en": ("Open {0}", "Launch {0}", "Start {0}", "Bring up {0}")}),
    Tool(("play_music", "play_song", "music_play", "play"), {"zh": "播放歌曲", "en": "Play a song"}, (_a("song title track", "song"),),
         {"zh": ("[播放|放]{0}", "我想听{0}", "来一首{0}", "听一下{0}"), "en": ("Play {0}", "I want to hear {0}", "Put on {0}", "Start the song {0}")}),
    Tool(("navigate", "navigate_to", "route", "get_directions"), {"zh": "导航到地点", "en": "Navigate to a place"}, (_a("destination to place", "place"),),
         {"zh": ("导航到{0}", "去{0}怎么走?", "带我去{0}", "怎么去{0}?"), "en": ("Navigate to {0}", "How do I get to {0}?", "Take me to {0}", "Show the way to {0}")}),
    Tool(("add_event", "create_event", "calendar_add", "schedule_event"), {"zh": "添加日程", "en": "Add a calendar event"}, (_a("title name event", "event"), _a("time start at", "clock")),
         {"zh": ("[添加|加一个]日程:{1}{0}", "{1}有{0},记到日历里", "把{1}的{0}加入日程", "日历加上{1}{0}"), "en": ("Add {0} at {1} to my calendar", "Schedule {0} at {1}", "Put {0} on my calendar at {1}", "Create an event: {0}, {1}")}),
    Tool(("translate_text", "translate", "translator"), {"zh": "翻译成某种语言", "en": "Translate a word into a language"}, (_a("text word content", "word"), _a("language target lang", "language")),
         {"zh": ("“{0}”用{1}怎么说?", "把“{0}”翻译成{1}", "用{1}说“{0}”", "“{0}”的{1}是什么?"), "en": ('How do you say "{0}" in {1}?', 'Translate "{0}" into {1}', 'Say "{0}" in {1}', 'What is "{0}" in {1}?')}),
    Tool(("get_stock_price", "stock_price", "quote", "stock_query"), {"zh": "查询股票价格", "en": "Get a stock price"}, (_a("symbol code ticker", "symbol"),),
         {"zh": ("{0}的股价[是多少|]?", "查一下{0}的股票价格", "{0}现在多少钱一股?", "{0}股票涨了吗?"), "en": ("What is the stock price of {0}?", "Check the price of {0} stock", "How is {0} trading?", "Quote {0}")},
         (("price", "value"),), {"zh": "{where}现在的股价是 {0}。", "en": "The stock price of {where} is {0}."}),
    Tool(("search_web", "web_search", "search", "lookup"), {"zh": "搜索网页", "en": "Search the web"}, (_a("query q keywords", "topic"),),
         {"zh": ("[上网|]搜索{0}", "搜一下{0}", "在网上查{0}", "帮我查{0}的资料"), "en": ("Search the web for {0}", "Look up {0}", "Search {0}", "Find information about {0}")}),
    Tool(("set_volume", "volume", "change_volume"), {"zh": "设置音量", "en": "Set the volume"}, (_a("level percent value", "percent", "integer"),),
         {"zh": ("音量调到{0}", "把音量设为{0}", "声音调成{0}%", "音量{0}"), "en": ("Set the volume to {0}", "Volume {0}", "Change the volume to {0}%", "Put the volume at {0}")}),
    Tool(("set_brightness", "brightness", "screen_brightness"), {"zh": "设置屏幕亮度", "en": "Set the screen brightness"}, (_a("level percent value", "percent", "integer"),),
         {"zh": ("亮度调到{0}", "把屏幕亮度设为{0}", "屏幕调成{0}%亮度", "亮度{0}"), "en": ("Set the brightness to {0}", "Brightness {0}", "Make the screen {0}% bright", "Put the brightness at {0}")}),
    Tool(("create_note", "add_note", "note", "save_note"), {"zh": "记笔记", "en": "Save a note"}, (_a("text content note", "text"),),
         {"zh": ("[记|写]一条笔记:{0}", "备忘:{0}", "记下来:{0}", "帮我记住:{0}"), "en": ("Note: {0}", "Save a note: {0}", "Write down: {0}", "Take a note: {0}")}),
    Tool(("convert_currency", "currency", "exchange"), {"zh": "货币换算", "en": "Convert money"}, (_a("amount value sum", "percent", "integer"), _a("from source base", "currency"), _a("to target dest", "currency2")),
         {"zh": ("{0}{1}是多少{2}?", "把{0}{1}换成{2}", "{0}{1}能换多少{2}?", "{0}{1}兑{2}"), "en": ("How much is {0} {1} in {2}?", "Convert {0} {1} to {2}", "Change {0} {1} into {2}", "{0} {1} in {2}")}),
    Tool(("order_taxi", "call_taxi", "book_taxi", "taxi"), {"zh": "叫出租车", "en": "Order a taxi"}, (_a("destination to place", "place"), _a("time at when", "clock")),
         {"zh": ("{1}叫车去{0}", "帮我叫一辆{1}去{0}的车", "{1}打车到{0}", "预约{1}去{0}的出租车"), "en": ("Order a taxi to {0} at {1}", "Book a taxi at {1} to {0}", "I need a taxi to {0} at {1}", "Get me a cab to {0} for {1}")}),
    Tool(("find_contact", "get_contact", "contact_lookup"), {"zh": "查联系人电话", "en": "Find a contact's number"}, (_a("name contact person", "name"),),
         {"zh": ("{0}的电话是多少?", "查一下{0}的号码", "找{0}的联系方式", "{0}的手机号是什么?"), "en": ("What is {0}'s phone number?", "Find the number of {0}", "Look up {0} in my contacts", "Which number does {0} have?")},
         (("phone", "number"),), {"zh": "{where}的电话是 {0}。", "en": "The phone number of {where} is {0}."}),
    Tool(("turn_on_light", "light_on", "lights"), {"zh": "打开房间的灯", "en": "Turn on a light"}, (_a("room place area", "room"),),
         {"zh": ("打开{0}的灯", "把{0}的灯开开", "{0}开灯", "点亮{0}"), "en": ("Turn on the light in {0}", "Light in {0} please", "Switch on the {0} light", "Make it bright in {0}")}),
    Tool(("track_parcel", "parcel_status", "track_package"), {"zh": "查快递", "en": "Track a parcel"}, (_a("number code id", "code"),),
         {"zh": ("快递{0}到哪了?", "查快递{0}", "单号{0}的包裹在哪?", "跟踪包裹{0}"), "en": ("Where is parcel {0}?", "Track parcel {0}", "What is the status of package {0}?", "Follow package {0}")},
         (("status", "state"),), {"zh": "包裹的状态是:{0}。", "en": "The status of the parcel is: {0}."}),
)  # fmt: skip

LANGUAGES: dict[Lang, tuple[str, ...]] = {
    "zh": (
        "法语",
        "德语",
        "日语",
        "韩语",
        "俄语",
        "西班牙语",
        "意大利语",
        "泰语",
        "葡萄牙语",
        "阿拉伯语",
        "越南语",
        "荷兰语",
        "瑞典语",
    ),
    "en": (
        "French",
        "German",
        "Japanese",
        "Korean",
        "Russian",
        "Spanish",
        "Italian",
        "Thai",
        "Portuguese",
        "Arabic",
        "Vietnamese",
        "Dutch",
        "Swedish",
    ),
}
CURRENCIES: dict[Lang, tuple[str, ...]] = {
    "zh": ("人民币", "美元", "欧元", "日元", "英镑", "港币", "韩元", "澳元", "加元", "泰铢", "卢布", "瑞士法郎"),
    "en": ("dollars", "euros", "yen", "pounds", "yuan", "won", "rubles", "baht", "pesos", "rupees", "francs", "crowns"),
}
ROOMS: dict[Lang, tuple[str, ...]] = {
    "zh": ("客厅", "卧室", "厨房", "书房", "阳台", "浴室", "车库", "走廊", "餐厅", "地下室", "儿童房", "门厅"),
    "en": (
        "the kitchen",
        "the bedroom",
        "the hall",
        "the garage",
        "the bathroom",
        "the office",
        "the cellar",
        "the attic",
        "the garden",
        "the lounge",
        "the study",
        "the corridor",
    ),
}
SKY: dict[Lang, tuple[str, ...]] = {
    "zh": ("晴", "多云", "小雨", "阴", "大风", "小雪"),
    "en": ("sunny", "cloudy", "rainy", "windy", "snowy", "foggy"),
}
STATUS: dict[Lang, tuple[str, ...]] = {
    "zh": ("运输中", "已签收", "派送中", "待取件", "已发货"),
    "en": ("in transit", "delivered", "out for delivery", "waiting for pickup", "shipped"),
}
TEXTS: dict[Lang, tuple[str, ...]] = {
    "zh": ("我晚点到", "会议改到下午", "记得买牛奶", "我已经出发了", "明天见", "文件发你了", "今晚不回家吃饭", "帮我取快递", "生日快乐", "周末一起吃饭吧", "我在楼下等你", "车停在门口", "下周再说", "合同签好了", "孩子接到了", "票买好了", "路上堵车", "先睡了"),
    "en": ("I am late", "the meeting is moved", "remember the milk", "I am on my way", "see you tomorrow", "the file is sent", "no dinner at home tonight", "please get the parcel", "happy birthday", "let's eat together", "I wait downstairs", "the car is outside", "talk next week", "the contract is signed", "the kids are home", "tickets are bought", "traffic is bad", "going to bed"),
}  # fmt: skip
