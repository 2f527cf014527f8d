"""Layouts of buying: goods list, product, cart, food delivery, tickets, payment result, hotel list."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.layouts_talk import tabs
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import mix

RED = (230, 50, 40)


def price_facts(s: Stage, name: str, price: str) -> None:
    s.fact(
        (f"{name}多少钱？", f"{name}的价格是多少？"), (f"How much is {name}?", f"What is the price of {name}?"), price
    )


def add_button(s: Stage, center: tuple[float, float], name: str, icon: str = "add") -> None:
    x, y = center
    s.canvas.circle(center, 13, s.theme.accent)
    s.canvas.icon(center, icon, 18, ui.WHITE)
    s.touch(
        (x - 18, y - 18, x + 18, y + 18),
        "button",
        names=(
            s.t(
                f"“{name}”旁边的加号" if icon == "add" else f"“{name}”的购物车按钮",
                f"the {'plus' if icon == 'add' else 'cart'} button of {name}",
            ),
        ),
        wishes=(
            s.t(f"把{name}加入购物车", f"add {name} to the cart"),
            s.t(f"加一份{name}", f"put one {name} in the cart"),
        ),
    )


@layout("goods_list", wide=True, weight=1.5)
def goods_list(s: Stage) -> None:
    """Search results of a shop: rows with picture, name, price, sales and an add button."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("淘宝", "Amazon") if rng.random() < 0.5 else s.content.app()
    ui.icon_button(s, (26, s.top + 26), "back", 22)
    ui.search_field(
        s, (48, s.top + 8, c.width - 56, s.top + 44), s.content.good(), (s.t("换个词搜索", "change the search"),)
    )
    ui.icon_button(s, (c.width - 28, s.top + 26), rng.choice(("cart", "filter", "camera")), 22)
    s.top += 52
    ui.top_tabs(s, [s.t("综合", "Best"), s.t("销量", "Sales"), s.t("价格", "Price"), s.t("筛选", "Filter")], 0)
    row = rng.choice((92.0, 100.0, 108.0))
    y, buttons = s.top + 6, rng.random() < 0.7
    goods = s.content.distinct(s.content.good, int((s.bottom - y) / row) + 1)
    prices: list[tuple[str, str]] = []
    for name in goods:
        if y + row > s.bottom:
            s.scrolls = True
            break
        ui.photo(s, (th.gap, y + 8, th.gap + row - 16, y + row - 8), th.radius)
        x = th.gap + row - 4
        s.write(x, y + 22, name, th.text, th.ink, width=c.width - x - 12)
        sold = rng.randint(1, 9999)
        s.write(x, y + 46, s.t(f"已售{sold}件", f"{sold} sold"), 12, th.faint)
        price = s.content.price()
        s.write(x, y + row - 24, price, 18, RED, True)
        s.touch(
            (0, y, c.width, y + row),
            "card",
            name,
            group="list",
            wishes=(
                s.t(f"查看{name}的详情", f"open the details of {name}"),
                s.t(f"看看{price}的商品", f"open the item for {price}"),
            ),
        )
        if buttons:
            add_button(s, (c.width - th.gap - 14, y + row - 26), name, rng.choice(("add", "cart")))
        price_facts(s, name, price)
        s.fact((f"{name}卖了多少件？",), (f"How many {name} were sold?",), str(sold), (f"{sold}件", f"{sold} sold"))
        prices.append((name, price))
        ui.divider(s, y + row, th.gap)
        y += row
    if len(prices) > 1:
        values = [float(p[1:]) for _, p in prices]
        if len(set(values)) == len(values):
            low, high = prices[values.index(min(values))][0], prices[values.index(max(values))][0]
            s.fact(("最便宜的商品是哪个？",), ("Which item is the cheapest?",), low)
            s.fact(("最贵的商品是哪个？",), ("Which item is the most expensive?",), high)
            for e in s.elements:
                if e.kind == "card" and e.label in {low, high}:
                    way = s.t("最便宜", "cheapest") if e.label == low else s.t("最贵", "most expensive")
                    e.wishes = (*e.wishes, s.t(f"选{way}的商品", f"choose the {way} item"))
    steps.common(s)


@layout("goods_grid", wide=True)
def goods_grid(s: Stage) -> None:
    """Shop front: categories and a two-column grid of goods."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("京东", "Temu") if rng.random() < 0.5 else s.content.app()
    ui.search_field(
        s,
        (th.gap, s.top + 8, c.width - 60, s.top + 46),
        s.t("搜索商品", "Search products"),
        (s.t("搜索商品", "search for a product"),),
    )
    ui.icon_button(s, (c.width - 32, s.top + 27), rng.choice(("scan", "bell", "chat")), 24)
    s.top += 54
    tabs(s, 2, 0)
    if rng.random() < 0.7:
        kinds = rng.sample(
            [
                ("mobile", "手机", "Phones"),
                ("food", "食品", "Food"),
                ("home", "家居", "Home"),
                ("book", "图书", "Books"),
                ("child", "母婴", "Baby"),
                ("car", "汽车", "Auto"),
                ("fitness", "运动", "Sports"),
                ("gift", "礼品", "Gifts"),
                ("laptop", "电脑", "Computers"),
                ("pets", "宠物", "Pets"),
            ],
            5,
        )
        w = c.width / 5
        for i, (icon, zh, en) in enumerate(kinds):
            x = w * (i + 0.5)
            c.circle((x, s.top + 26), 20, mix(th.accent, ui.WHITE, rng.choice((0.0, 0.8))))
            c.icon((x, s.top + 26), icon, 22, ui.WHITE if rng.random() < 0.4 else mix(th.accent, (0, 0, 0), 0.4))
            s.write(x, s.top + 58, s.t(zh, en), 11, th.ink, anchor="m")
            s.touch(
                (w * i, s.top, w * (i + 1), s.top + 70),
                "button",
                s.t(zh, en),
                icon,
                wishes=(s.t(f"看看{zh}类商品", f"browse {en.lower()}"),),
            )
        s.top += 78
    columns = 2 if c.width < 560 else 4
    w = (c.width - th.gap * (columns + 1)) / columns
    h = w * rng.choice((0.75, 0.95)) + 62
    goods = s.content.distinct(s.content.good, 12)
    y, n = s.top, 0
    while y + h < s.bottom and n < len(goods):
        for k in range(columns):
            if n >= len(goods):
                break
            name, price = goods[n], s.content.price()
            x = th.gap + k * (w + th.gap)
            c.rect((x, y, x + w, y + h), th.card, th.radius)
            ui.photo(s, (x, y, x + w, y + h - 62), th.radius)
            s.write(x + 8, y + h - 46, name, 14, th.ink, width=w - 14)
            s.write(x + 8, y + h - 20, price, 16, RED, True)
            s.touch(
                (x, y, x + w, y + h),
                "card",
                s.labels[-2],
                group="grid",
                wishes=(s.t(f"购买{name}", f"buy {name}"), s.t(f"看看{price}的商品", f"open the item for {price}")),
            )
            price_facts(s, name, price)
            n += 1
        y += h + th.gap
    s.scrolls = True
    steps.common(s)


@layout("product")
def product(s: Stage) -> None:
    """One product: big picture, price, text, buttons to collect, to add, to buy."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("淘宝", "Amazon") if rng.random() < 0.5 else s.content.app()
    bar = 56.0
    bottom = s.bottom
    s.bottom -= bar
    h = min(c.width * 0.8, (s.bottom - s.top) * 0.48)
    ui.photo(s, (0, s.top, c.width, s.top + h))
    for x, icon in ((28.0, "back"), (c.width - 28, "more"), (c.width - 72, "share")):
        c.circle((x, s.top + 28), 17, (90, 90, 95))
        ui.icon_button(s, (x, s.top + 28), icon, 20, ui.WHITE)
    y = s.top + h
    name, price = s.content.good(), s.content.price()
    s.write(th.gap, y + 28, price, 26, RED, True)
    price_facts(s, name, price)
    s.fact(("这个商品多少钱？", "价格是多少？"), ("How much does this product cost?", "What is the price?"), price)
    s.write(th.gap, y + 64, name, 18, th.ink, True, width=c.width - 80)
    s.fact(("这是什么商品？", "商品叫什么名字？"), ("What product is this?", "What is the product called?"), name)
    ui.icon_button(s, (c.width - 34, y + 60), "star", 24, th.faint, wishes=(s.t("收藏这个商品", "save this product"),))
    stock = rng.randint(1, 500)
    s.write(th.gap, y + 92, s.t(f"库存{stock}件", f"{stock} in stock"), 13, th.faint)
    s.fact(("库存还有多少件？",), ("How many are in stock?",), str(stock), (f"{stock}件",))
    y += 112
    rows = [
        (s.t("选择规格", "Choose a style"), ""),
        (s.t("配送到", "Deliver to"), s.content.city()),
        (s.t("用户评价", "Reviews"), f"{rng.randint(80, 100)}%"),
        (s.t("商品参数", "Details"), ""),
    ]
    for label, value in rows:
        if y + 48 > s.bottom:
            s.scrolls = True
            break
        ui.divider(s, y, th.gap)
        s.write(th.gap, y + 24, label, th.text, th.ink)
        if value:
            s.write(c.width - 40, y + 24, value, 14, th.faint, anchor="r")
            s.fact((f"“{label}”后面写着什么？",), (f'What does "{label}" say?',), value)
        c.icon((c.width - 24, y + 24), "chevron", 18, th.faint)
        s.touch((0, y, c.width, y + 48), "row", label, group="list")
        y += 48
    c.rect((0, s.bottom, c.width, bottom), th.card)
    for i, (icon, zh, en) in enumerate((("headset", "客服", "Support"), ("bag", "店铺", "Store"))):
        x = 30 + i * 50.0
        c.icon((x, s.bottom + 20), icon, 22, th.faint)
        s.write(x, s.bottom + 42, s.t(zh, en), 10, th.faint, anchor="m")
        s.touch((x - 24, s.bottom, x + 24, bottom), "button", s.t(zh, en), icon)
    middle = (110 + c.width) / 2
    ui.button(
        s,
        (112, s.bottom + 8, middle - 2, bottom - 8),
        s.t("加入购物车", "Add to cart"),
        wishes=(s.t("把它放进购物车", "put it in the cart"),),
        size=14,
        color=(255, 149, 0),
    )
    ui.button(
        s,
        (middle + 2, s.bottom + 8, c.width - 8, bottom - 8),
        s.t("立即购买", "Buy now"),
        wishes=(s.t("直接下单购买", "order it right away"),),
        size=14,
        color=(255, 69, 0),
    )
    steps.common(s)


@layout("cart", wide=True, weight=1.2)
def cart(s: Stage) -> None:
    """Shopping cart: check boxes, amounts with plus and minus, total and checkout."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("京东", "Amazon") if rng.random() < 0.5 else s.content.app()
    ui.title_bar(s, s.t("购物车", "Cart"), rng.choice(((), ("delete",), ("more",))))
    bar = 56.0
    floor = s.bottom - bar
    row = rng.choice((96.0, 104.0))
    y, total = s.top + 6, 0.0
    for name in s.content.distinct(s.content.good, rng.randint(1, 6)):
        if y + row > floor:
            s.scrolls = True
            break
        c.rect((th.gap / 2, y + 4, c.width - th.gap / 2, y + row - 4), th.card, th.radius)
        on = rng.random() < 0.7
        x, cy = 28.0, y + row / 2
        c.circle((x, cy), 10, th.accent if on else th.back, th.accent if on else th.faint, 1.5)
        if on:
            c.icon((x, cy), "check", 15, ui.WHITE)
        c.mark("widget:check_on" if on else "widget:check_off", (x - 10, cy - 10, x + 10, cy + 10))
        s.touch(
            (x - 18, cy - 22, x + 16, cy + 22),
            "check",
            names=(s.t(f"“{name}”前面的勾选框", f"the check box of {name}"),),
            wishes=(s.t(f"取消勾选{name}", f"unselect {name}"),) if on else (s.t(f"勾选{name}", f"select {name}"),),
            state=on,
        )
        s.fact(
            (f"{name}勾选了吗？",),
            (f"Is {name} selected?",),
            s.t("勾选了", "yes") if on else s.t("没有勾选", "no"),
            (s.t("是", "selected"),) if on else (s.t("没有", "not selected"), s.t("否", "no")),
        )
        ui.photo(s, (50, y + 14, 50 + row - 28, y + row - 14), 6)
        left = 50 + row - 16
        s.write(left, y + 26, name, 15, th.ink, width=c.width - left - 16)
        value = round(rng.uniform(1, 300), rng.choice((0, 1, 2)))
        price = ("¥" if s.lang == "zh" else "$") + f"{value:g}"
        s.write(left, y + row - 28, price, 16, RED, True)
        price_facts(s, name, price)
        amount = rng.randint(1, 9)
        right = c.width - th.gap - 4
        cy = y + row - 28
        c.frame((right - 84, cy - 13, right, cy + 13), th.line, 1, 4)
        c.icon((right - 70, cy), "remove", 16, th.faint)
        c.text(right - 42, cy, str(amount), 14, th.ink, anchor="m")
        c.icon((right - 14, cy), "add", 16, th.ink)
        s.touch(
            (right - 90, cy - 17, right - 56, cy + 17),
            "button",
            names=(s.t(f"“{name}”的减号", f"the minus button of {name}"),),
            wishes=(s.t(f"减少一件{name}", f"take one {name} away"),) if amount > 1 else (),
        )
        s.touch(
            (right - 28, cy - 17, right + 6, cy + 17),
            "button",
            names=(s.t(f"“{name}”的加号", f"the plus button of {name}"),),
            wishes=(s.t(f"再加一件{name}", f"add one more {name}"),),
        )
        s.fact(
            (f"{name}有几件？", f"{name}的数量是多少？"),
            (f"How many {name} are in the cart?", f"What is the amount of {name}?"),
            str(amount),
            (f"{amount}件",),
        )
        if on:
            total += value * amount
        y += row
    c.rect((0, floor, c.width, s.bottom), th.card)
    said = ("¥" if s.lang == "zh" else "$") + f"{total:.2f}"
    s.write(th.gap, floor + bar / 2, s.t("合计：", "Total: ") + said, 16, th.ink, True)
    s.fact(("合计多少钱？", "总价是多少？"), ("What is the total?", "How much is everything together?"), said)
    ui.button(
        s,
        (c.width - 118, floor + 8, c.width - 10, s.bottom - 8),
        s.t("去结算", "Checkout"),
        wishes=(s.t("结账付款", "pay for the cart"),),
    )
    s.bottom = floor
    steps.common(s)
