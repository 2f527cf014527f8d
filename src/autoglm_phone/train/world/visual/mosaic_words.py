"""What composed screens are labelled with: things, verbs and adjectives, each with what one would want from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from autoglm_phone.train.world.visual import words as w
from autoglm_phone.train.world.visual.icons import ICONS
from autoglm_phone.train.world.visual.stage import Stage


@dataclass(frozen=True)
class Item:
    """A label with a fitting icon and the goals that touching it serves."""

    label: str
    icon: str
    wishes: tuple[str, ...] = ()


def _table(text: str) -> list[tuple[str, ...]]:
    return [tuple(entry.split("|")) for line in text.strip().splitlines() for entry in line.split(" / ")]


# icon | zh | en
NOUNS = _table("""\
list|订单|orders / card|账单|bills / photo|相册|albums / calendar|日程|plans / edit|笔记|notes
file|表格|sheets / group|联系人|contacts / map|行程|trips / school|课程|lessons / book|书单|books
music|歌单|playlists / video|录像|recordings / tag|代金券|vouchers / gift|礼品|gifts / trophy|奖章|badges
alarm|提醒|reminders / hospital|病历|health records / fitness|训练|workouts / food|食谱|recipes
car|车辆|vehicles / bank|账户|accounts / shield|保险|policies / key|密钥|keys / cloud|备份|backups
folder|资料|documents / chat|留言|messages / comment|评价|reviews / bell|公告|notices / tag|门票|tickets
bus|班次|departures / plane|航班|flights / pets|宠物|pets / umbrella|预警|alerts / game|棋局|matches
work|项目|projects / person|成员|members / city|房源|flats / laptop|设备|devices / print|打印任务|print jobs
money|预算|budgets / coffee|饮品|drinks / bike|骑行|rides / walk|步数|steps / mic|录音|voice notes
palette|皮肤|skins / translate|生词|new words / download|离线包|offline packs / link|链接|links
email|信件|letters / mobile|套餐|phone plans / bulb|点子|ideas / data|流量包|data packs
history|足迹|footprints / train|车票|rail passes / movie|影单|films / heart|心愿单|wish lists
camera|底片|raw shots / home|房间布局|floor plans / pin|站点|stops / send|快递|parcels / hotel|住宿|stays
copy|模板|templates / attach|附件|attachments / info|说明|manuals / sun|日照|sunlight hours""")

# zh verb | en verb | zh wish | zh wish | en wish | en wish
VERBS = _table("""\
查看|View|看看{}|打开{}看一下|have a look at the {}|see the {}
管理|Manage|整理一下{}|进入{}管理|keep the {} in order|manage the {}
编辑|Edit|改一下{}|修改{}|change the {}|make changes to the {}
新建|Create|加一些新的{}|添加{}|add new {}|make new {}
分享|Share|把{}发给别人|让朋友看到{}|let a friend see the {}|share the {} with someone
导出|Export|把{}存到别处|导出全部{}|save the {} elsewhere|export all {}
同步|Sync|让{}保持一致|把{}同步一下|keep the {} in sync|synchronise the {}
搜索|Find|找一找{}|搜一搜{}|look for {}|search through the {}
归档|Archive|把{}收起来|将{}存档|put the {} away|move the {} to the archive
比较|Compare|对比一下{}|看看哪些{}更好|see which {} are better|put the {} side by side
更新|Update|让{}变成最新|刷新{}|bring the {} up to date|get the latest {}
导入|Import|从别处带来{}|把{}导进来|bring in {} from elsewhere|load {} from a file
订阅|Follow|关注{}的变化|以后收到{}的消息|hear about new {}|subscribe to the {}
清空|Clear|把{}全部删掉|不要这些{}了|remove all {}|get rid of the {}
隐藏|Hide|不让别人看见{}|把{}藏起来|keep others from seeing the {}|make the {} invisible
置顶|Pin|把{}放到最前面|让{}排第一|put the {} first|keep the {} on top
统计|Count|算算{}有多少|看{}的统计|see how many {} there are|get statistics of the {}
下载|Download|把{}存到手机|离线也能看{}|save the {} to the phone|have the {} offline""")

# zh | en
ADJECTIVES = _table("""\
我的|My / 最近|Recent / 全部|All / 本周|Weekly / 热门|Popular / 共享|Shared / 已存|Saved / 待办|Pending
附近|Nearby / 推荐|Suggested / 重要|Important / 家庭|Family / 公司|Office / 过期|Expired / 每日|Daily
免费|Free / 特别|Special / 海外|Foreign / 老师的|Teacher's / 下月|Next month's / 付费|Paid / 私密|Private
公开|Public / 旧|Old / 团队|Team""")

# icon | zh | en: what can be on or off besides the settings of a phone
SWITCHED = _table("""\
bell|夜间提醒|Night alerts / music|背景音乐|Background music / pin|共享位置|Share location
flash|快速充电|Fast charging / download|自动下载|Auto download / eye|阅读标记|Read receipts
cloud|云同步|Cloud sync / sun|自动亮度|Auto brightness / alarm|早间闹铃|Morning alarm
comment|弹幕|Live comments / tag|促销消息|Offers / mic|语音播报|Voice prompts
umbrella|雨天提醒|Rain warning / video|自动播放|Autoplay / print|双面打印|Double-sided
gift|生日提示|Birthday tips / shield|指纹解锁|Fingerprint / map|离线导航|Offline routes
heart|心率监测|Heart monitor / key|记住密码|Keep password / refresh|滤芯提醒|Filter reminder
coffee|保温|Keep warm / snow|速冻|Quick freeze / lock|童锁|Child lock / walk|久坐提醒|Stand reminder
group|群消息|Group messages / history|保存记录|Save history / send|回车发送|Enter to send""")

# zh | en: what has an amount
AMOUNTS = _table("""\
数量|Amount / 份数|Portions / 门票数|Tickets / 件数|Pieces / 时长|Minutes / 音量|Loudness / 速度|Speed
温度|Temperature / 字号|Text size / 对比度|Contrast / 亮度|Brightness / 份额|Shares / 箱数|Boxes
瓶数|Bottles / 晚数|Nights / 桌数|Tables / 座位|Seats / 组数|Sets / 次数|Rounds / 糖度|Sugar / 行李|Bags
宠物数|Pets / 重量|Weight / 风速|Fan speed / 湿度|Humidity / 长度|Length / 低音|Bass / 高音|Treble
页数|Pages / 层数|Floor / 小时|Hours / 天数|Days / 饱和度|Saturation""")

# zh | en | zh | en: two answers to a message
ANSWERS = _table("""\
同意|Agree|拒绝|Decline / 接受|Accept|忽略|Ignore / 参加|Join|不去|Skip / 回复|Reply|稍后|Later
点赞|Like|举报|Report / 保留|Keep|撤回|Undo / 允许|Allow|禁止|Deny / 收下|Take it|退回|Return
喜欢|Love it|一般|So-so / 开始|Start|推迟|Postpone / 关注|Follow|屏蔽|Mute / 标为已读|Mark read|删除|Delete
翻译|Translate|复制|Copy / 通过|Approve|驳回|Reject""")

_MADE_ICONS = {
    "good": ("bag", "cart", "tag", "gift"),
    "dish": ("food", "coffee", "heart"),
    "shop": ("city", "bag", "home", "star"),
    "person": ("person", "chat", "phone", "email"),
    "topic": ("bookmark", "bell", "file", "info", "book"),
    "place": ("pin", "map", "navigate", "walk"),
    "road": ("home", "pin", "city", "work"),
    "city": ("city", "plane", "train", "globe"),
    "song": ("music", "play", "headset"),
    "file": ("file", "folder", "attach", "cloud"),
    "app": ("apps", "grid", "game", "laptop", "fitness", "translate"),
}
_MADE_WISHES = {
    "zh": {
        "good": ("看看{}的详情", "我想买的是{}"),
        "dish": ("看看{}怎么样", "想吃{}"),
        "shop": ("去{}逛逛", "进{}看看"),
        "person": ("查看{}的信息", "找到{}这个人"),
        "topic": ("了解{}的内容", "看看{}"),
        "place": ("看看{}怎么去", "选{}这个地方"),
        "road": ("用{}这个地址", "看看{}在哪里"),
        "city": ("换到{}", "看看{}的情况"),
        "song": ("听一下{}", "找到{}这首"),
        "file": ("打开文件{}", "看看{}里写了什么"),
        "app": ("进入{}", "看看{}的内容"),
    },
    "en": {
        "good": ("see the details of {}", "look at the {}"),
        "dish": ("have {} today", "see what {} is like"),
        "shop": ("go to {}", "see what {} has"),
        "person": ("see the details of {}", "find {}"),
        "topic": ("learn about {}", "read about {}"),
        "place": ("see the way to {}", "choose {} as the place"),
        "road": ("use the address {}", "see where {} is"),
        "city": ("change to {}", "see what is on in {}"),
        "song": ("listen to {}", "find the song {}"),
        "file": ("open the file {}", "read {}"),
        "app": ("go into {}", "see what {} offers"),
    },
}
FAMILIES = ("noun", "verb", "adjective", "setting", "icon", *_MADE_ICONS)


@dataclass
class Words:
    """Draws labels of one screen; none holds another, so that each is told by its text."""

    s: Stage
    used: set[str] = field(default_factory=set)

    def fresh(self, make: Callable[[], Item], tries: int = 40) -> Item | None:
        for _ in range(tries):
            item = make()
            label = item.label.lower()
            if label and not any(label in old or old in label for old in self.used):
                self.used.add(label)
                return item
        return None

    def item(self, family: str = "") -> Item | None:
        """A label that this screen does not have yet. family: one of FAMILIES, else any."""
        return self.fresh(lambda: self._item(family or self.s.rng.choice(FAMILIES)))

    def items(self, count: int, family: str = "") -> list[Item]:
        return [item for item in (self.item(family) for _ in range(count)) if item]

    def row(self, table: list[tuple[str, ...]]) -> Item | None:
        """A fresh entry of a table with (icon,) zh and en."""

        def make() -> Item:
            *icon, zh, en = self.s.rng.choice(table)
            return Item(self.s.t(zh, en), icon[0] if icon else "tag")

        return self.fresh(make)

    def _item(self, family: str) -> Item:
        s, rng, zh = self.s, self.s.rng, self.s.lang == "zh"
        if family in _MADE_ICONS:
            text = getattr(s.content, family)()
            return Item(
                text, rng.choice(_MADE_ICONS[family]), tuple(p.format(text) for p in _MADE_WISHES[s.lang][family])
            )
        if family == "setting":
            icon, zh_name, en_name, _ = rng.choice(w.SETTINGS)
            name = s.t(zh_name, en_name)
            return Item(name, icon, (s.t(f"进入{name}的设置", f"go to the settings of {name}"),))
        if family == "icon":
            icon = rng.choice([name for name, known in ICONS.items() if known.wishes[s.lang]])
            name = ICONS[icon].names[s.lang]
            return Item(name[:1].upper() + name[1:], icon, ICONS[icon].wishes[s.lang])
        icon, *names = rng.choice(NOUNS)
        noun = names[0] if zh else names[1]
        if family == "verb":
            verb = rng.choice(VERBS)
            wishes = verb[2:4] if zh else verb[4:6]
            label = verb[0] + noun if zh else f"{verb[1]} {noun}"
            return Item(label, icon, tuple(p.format(noun) for p in wishes))
        if family == "adjective":
            zh_word, en_word = rng.choice(ADJECTIVES)
            label = zh_word + noun if zh else f"{en_word} {noun}"
            return Item(label, icon, (f"看看{label}", f"找到{label}") if zh else (f"see {label}", f"look up {label}"))
        label = noun if zh else noun[0].upper() + noun[1:]
        return Item(label, icon, (f"看看{noun}", f"进入{noun}页面") if zh else (f"see the {noun}", f"go to the {noun}"))

    def value(self) -> str:
        """A short text that stands beside or below a label."""
        s, rng = self.s, self.s.rng
        kind = rng.randrange(8)
        if kind == 0:
            return s.content.price()
        if kind == 1:
            return s.content.clock()
        if kind == 2:
            return s.content.date_text()
        if kind == 3:
            return f"{rng.randint(1, 100)}%"
        if kind == 4:
            return s.content.city()
        if kind == 5:
            unit = rng.choice(("个|items", "分钟|min", "公里|km", "次|times", "公斤|kg", "页|pages", "天|days"))
            zh, en = unit.split("|")
            return s.t(f"{rng.randint(2, 999)}{zh}", f"{rng.randint(2, 999)} {en}")
        if kind == 6:
            return str(rng.randint(2, 9999))
        return f"{rng.uniform(0, 5):.1f}"

    def sentence(self) -> str:
        s = self.s
        return s.rng.choice((s.content.chat, s.content.chat, s.content.topic, s.content.road, s.content.person))()
