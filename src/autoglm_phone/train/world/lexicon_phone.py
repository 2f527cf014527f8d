"""Apps, messages, events and places of a phone's day, with the facts that a question may ask for."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from autoglm_phone.train.world.sample import Lang

APPS: dict[Lang, tuple[str, ...]] = {
    "zh": ("微信", "短信", "QQ", "钉钉", "飞书", "邮件", "淘宝", "京东", "美团", "饿了么", "支付宝", "抖音", "微博", "小红书", "知乎", "滴滴", "高德地图", "网易云音乐", "哔哩哔哩", "日历", "拼多多", "携程"),
    "en": ("Messages", "WhatsApp", "Telegram", "Gmail", "Outlook", "Slack", "Instagram", "Twitter", "Amazon", "Uber", "Spotify", "YouTube", "Calendar", "PayPal", "Zoom", "Teams", "LinkedIn", "Facebook", "Signal", "Maps", "Discord", "Netflix"),
}  # fmt: skip
CHAT_APPS: dict[Lang, tuple[str, ...]] = {
    "zh": APPS["zh"][:6],
    "en": ("Messages", "WhatsApp", "Telegram", "Slack", "Signal", "Discord"),
}
PLACES: dict[Lang, tuple[str, ...]] = {
    "zh": ("一号会议室", "二号会议室", "三楼会议室", "公司大厅", "学校门口", "图书馆", "咖啡店", "火车站", "机场", "医院", "公园", "体育馆", "电影院", "超市", "健身房", "家里", "办公室", "餐厅", "书店", "博物馆", "地铁口", "银行", "酒店", "游泳馆", "美术馆", "教室"),
    "en": ("Room 1", "Room 2", "the lobby", "the school gate", "the library", "the cafe", "the station", "the airport", "the hospital", "the park", "the gym", "the cinema", "the market", "the office", "the bookshop", "the museum", "the bank", "the hotel", "the pool", "the gallery", "the classroom", "the clinic", "the canteen", "the theater", "the harbor", "the stadium"),
}  # fmt: skip
EVENTS: dict[Lang, tuple[str, ...]] = {
    "zh": ("周会", "项目会议", "产品评审", "面试", "牙医预约", "体检", "健身课", "瑜伽课", "英语课", "钢琴课", "家长会", "生日聚会", "同学聚会", "晚餐", "午餐", "看电影", "取快递", "接孩子", "理发", "跑步", "电话会议", "培训", "客户拜访", "年会", "讲座", "考试", "篮球赛", "音乐会", "搬家", "修车", "述职报告", "读书会", "游泳课", "志愿活动", "头脑风暴"),
    "en": ("team meeting", "project review", "job interview", "dentist", "health check", "gym class", "yoga class", "English class", "piano lesson", "parents' evening", "birthday party", "class reunion", "dinner", "lunch", "film night", "parcel pickup", "haircut", "morning run", "phone call", "training", "client visit", "lecture", "exam", "basketball game", "concert", "car service", "book club", "swimming lesson", "budget talk", "workshop", "design review", "board meeting", "volunteering", "photo shoot"),
}  # fmt: skip
ITEMS: dict[Lang, tuple[str, ...]] = {
    "zh": ("牛奶", "面包", "鸡蛋", "水果", "钥匙", "雨伞", "充电器", "身份证", "合同", "报告", "电脑", "书", "药", "票", "蛋糕", "照片", "发票", "咖啡", "米", "蔬菜", "护照", "耳机", "外套", "作业", "球拍", "名片", "样品", "礼物"),
    "en": ("milk", "bread", "eggs", "fruit", "the keys", "an umbrella", "the charger", "your passport", "the contract", "the report", "the laptop", "the book", "the medicine", "the tickets", "a cake", "the photos", "the invoice", "coffee", "rice", "vegetables", "the headphones", "a jacket", "your homework", "the samples", "a gift", "the map", "the slides", "the camera"),
}  # fmt: skip
