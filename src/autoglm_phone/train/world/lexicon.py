"""Names, things, places and apps, in both languages: the fillings that many categories share.

Pairs are (zh, en) of the same meaning where both are given; pools are dealt out to splits by `fillings.pick`.
"""

from __future__ import annotations

NAMES_ZH: tuple[str, ...] = tuple(
    "小明 小红 小刚 小丽 小华 小芳 小军 小强 小雪 小杰 小美 小龙 小雨 小静 小东 小波 小燕 小林 小兰 小海 "
    "张伟 王芳 李娜 刘洋 陈静 杨帆 赵敏 黄磊 周涛 吴刚 徐丽 孙悦 马超 朱琳 胡军 郭靖 何洁 高峰 林峰 罗兰 "
    "梁晨 宋佳 郑凯 谢娜 韩雪 唐宁 冯远 于洋 董洁 萧然 程浩 曹颖 袁媛 邓超 许晴 傅雷 沈航 曾敏 彭辉 吕布 "
    "苏梅 卢强 蒋欣 蔡琴 贾玲 丁宁 魏晨 薛平 叶青 阎肃 余欢 潘婷 杜鹃 戴军 夏天 钟楚 汪洋 田野 任重 姜文 "
    "范冰 方圆 石磊 姚远 谭松 廖凡 邹静 熊英 金鑫 陆川 郝雷 孔亮 白雪 崔健 康宁 毛毛 邱实 秦岚 江山 史密".split()
)
NAMES_EN: tuple[str, ...] = tuple(
    "Tom Anna Jack Lucy Mike Emma Ben Lily Sam Kate David Sarah John Mary Peter Alice Bob Carol Dan Eve Frank Grace "
    "Henry Irene James Julia Kevin Laura Leo Maria Nick Nora Oscar Olivia Paul Rachel Ryan Sophie Steve Tina Victor "
    "Wendy Will Zoe Adam Amy Brian Chloe Chris Diana Eric Ella George Hannah Ivan Jane Karl Kim Luke Mia Mark Nina "
    "Noah Paula Ray Rosa Sean Stella Tim Vera Alex Bella Carl Daisy Ed Fiona Gary Helen Ian Jenny Kurt Linda Max "
    "Molly Neil Pam Ralph Ruby Simon Tara Uma Vince Yara Zack Aaron Beth Craig Dora Evan Faye Glen Hope Joel Jill".split()
)
THINGS: tuple[tuple[str, str, str], ...] = tuple(
    tuple(entry.split("/"))  # type: ignore[misc]
    for entry in (
        "苹果/个/apples 橙子/个/oranges 铅笔/支/pencils 书/本/books 鸡蛋/个/eggs 糖/颗/candies 气球/个/balloons 贴纸/张/stickers "
        "杯子/个/cups 面包/个/rolls 卡片/张/cards 邮票/枚/stamps 球/个/balls 花/朵/flowers 饼干/块/cookies 椅子/把/chairs "
        "照片/张/photos 瓶水/瓶/bottles 桃子/个/peaches 梨/个/pears 笔记本/本/notebooks 橡皮/块/erasers 毛巾/条/towels 袜子/双/socks "
        "盘子/个/plates 勺子/把/spoons 灯泡/个/bulbs 电池/节/batteries 票/张/tickets 硬币/枚/coins 石头/块/stones 贝壳/个/shells "
        "柠檬/个/lemons 土豆/个/potatoes 西瓜/个/melons 钥匙/把/keys 箱子/个/boxes 纽扣/颗/buttons 珠子/颗/beads 信封/个/envelopes"
    ).split()
)
GOODS: tuple[tuple[str, str, str, str], ...] = tuple(
    tuple(entry.split("/"))  # type: ignore[misc]
    for entry in (
        "笔记本/本/notebook/notebooks 牛奶/盒/milk carton/milk cartons 面包/个/loaf/loaves 咖啡/杯/coffee/coffees 奶茶/杯/bubble_tea/bubble_teas "
        "T恤/件/T-shirt/T-shirts 帽子/顶/hat/hats 鼠标/个/mouse/mice 数据线/根/cable/cables 耳机/副/headset/headsets 水杯/个/mug/mugs "
        "雨伞/把/umbrella/umbrellas 背包/个/backpack/backpacks 手机壳/个/phone_case/phone_cases 充电器/个/charger/chargers 牙刷/支/toothbrush/toothbrushes "
        "毛巾/条/towel/towels 电影票/张/movie_ticket/movie_tickets 门票/张/ticket/tickets 汉堡/个/burger/burgers 披萨/个/pizza/pizzas "
        "蛋糕/个/cake/cakes 书/本/book/books 钢笔/支/pen/pens 键盘/个/keyboard/keyboards 台灯/盏/lamp/lamps 枕头/个/pillow/pillows "
        "鞋/双/pair_of_shoes/pairs_of_shoes 袜子/双/pair_of_socks/pairs_of_socks 手套/副/pair_of_gloves/pairs_of_gloves 西瓜/个/melon/melons "
        "酸奶/杯/yogurt/yogurts 果汁/瓶/juice/juices 矿泉水/瓶/bottle_of_water/bottles_of_water 电池/节/battery/batteries 灯泡/个/bulb/bulbs"
    ).replace("milk carton/milk cartons", "milk_carton/milk_cartons").split()
)
GOODS = tuple((zh, unit, one.replace("_", " "), many.replace("_", " ")) for zh, unit, one, many in GOODS)
