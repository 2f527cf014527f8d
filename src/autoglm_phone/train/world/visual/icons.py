"""Icons by meaning: code points in the two icon fonts, their names and what one would want from them.

Code points are those of Debian's fonts-material-design-icons-iconfont and fonts-font-awesome (version 4).
"""

from __future__ import annotations

from dataclasses import dataclass

from autoglm_phone.train.world.sample import Lang

# name | Material code point | Font Awesome code point | zh name | en name | zh wishes | en wishes
_TABLE = """\
search|e8b6|f002|搜索|search|搜索内容;查找东西|search for something;look something up
menu|e5d2|f0c9|菜单|menu|打开菜单|open the menu
more|e5d4|f142|更多|more|查看更多选项|show more options
back|e5c4|f060|返回|back||
close|e5cd|f00d|关闭|close|关闭这个页面|close this
home|e88a|f015|主页|home page||
settings|e8b8|f013|设置|settings|打开设置;修改设置|open the settings
person|e7fd|f007|个人|profile|查看个人资料|open my profile
add|e145|f067|添加|add|新建一个;添加一项|add a new one;create a new item
edit|e3c9|f040|编辑|edit|修改内容|edit this
delete|e872|f1f8|删除|delete|删掉它|delete it
share|e80d|f1e0|分享|share|分享给朋友|share it with a friend
heart|e87d|f004|喜欢|heart|点个喜欢|like it
star|e838|f005|收藏|star|收藏这个|add it to favourites
bookmark|e866|f02e|书签|bookmark|加个书签|bookmark this page
download|e2c4|f019|下载|download|下载下来|download it
upload|e2c6|f093|上传|upload|上传文件|upload a file
send|e163|f1d8|发送|send|把消息发出去|send the message
mic|e029|f130|麦克风|microphone|用语音输入|use voice input
camera|e3b0|f030|相机|camera|拍张照片|take a photo
photo|e410|f03e|图片|picture|选一张图片|choose a picture
phone|e0cd|f095|电话|phone|打电话|make a call
email|e0be|f0e0|邮件|mail|写邮件|write an email
chat|e0b7|f075|消息|chat|看消息|read the messages
bell|e7f4|f0f3|通知|bell|查看通知|check notifications
pin|e0c8|f041|定位|location pin|查看位置|show the location
map|e55b|f279|地图|map|看地图|open the map
navigate|e55d|f124|导航|navigation arrow|开始导航|start navigation
car|e531|f1b9|汽车|car|开车去|go by car
plane|e539|f072|飞机|plane|订机票|book a flight
hotel|e53a|f236|酒店|hotel bed|订酒店|book a hotel
food|e56c|f0f5|餐饮|food|找吃的|find something to eat
cart|e8cc|f07a|购物车|shopping cart|看购物车|open the cart
tag|e54e|f02b|标签|tag|查看优惠|see the offers
card|e870|f09d|银行卡|bank card|用银行卡付款|pay by card
wifi|e63e|f1eb|无线网络|Wi-Fi||
bluetooth|e1a7|f293|蓝牙|Bluetooth||
battery|e1a4|f240|电池|battery|查看电量|check the battery
volume|e050|f028|音量|volume|调节音量|change the volume
brightness|e3ab|f042|亮度|brightness|调节亮度|change the brightness
alarm|e855|f017|闹钟|alarm|设个闹钟|set an alarm
calendar|e878|f073|日历|calendar|看日历|open the calendar
play|e037|f04b|播放|play|开始播放|start playing
pause|e034|f04c|暂停|pause|停一下;暂停播放|pause it
next|e044|f051|下一首|next track|换下一首|skip to the next one
previous|e045|f048|上一首|previous track|听上一首|play the previous one
shuffle|e043|f074|随机播放|shuffle|随机播放歌曲|shuffle the songs
repeat|e040|f01e|循环|repeat|循环播放|play it again and again
refresh|e5d5|f021|刷新|refresh|刷新一下|reload this page
filter|e152|f0b0|筛选|filter|筛选结果|filter the results
sort|e164|f0dc|排序|sort|换个排序|change the order
check|e5ca|f00c|对勾|check mark|确认完成|confirm it
lock|e897|f023|锁|lock|锁定屏幕|lock it
eye|e8f4|f06e|眼睛|eye|显示密码|show the password
help|e887|f059|帮助|help|查看帮助|get help
info|e88e|f05a|信息|info|查看详情|show the details
folder|e2c7|f07b|文件夹|folder||
file|e24d|f15b|文件|file||
link|e157|f0c1|链接|link|复制链接|copy the link
attach|e226|f0c6|附件|paper clip|添加附件|attach a file
emoji|e24e|f118|表情|smiley|发个表情|send an emoji
like|e8dc|f164|点赞|thumbs up|给它点赞|give it a like
comment|e0b9|f086|评论|comment|写评论|write a comment
backspace|e14a|f0a8|退格|backspace|删除一个字符|delete one character
flash|e3e7|f0e7|闪光灯|flash|打开闪光灯|turn on the flash
airplane|e195|f0fb|飞行模式|airplane mode||
globe|e894|f0ac|地球|globe|切换语言|change the language
print|e8ad|f02f|打印|printer|打印出来|print it
cloud|e2bd|f0c2|云|cloud|备份到云端|back up to the cloud
sun|e430|f185|太阳|sun||
music|e405|f001|音乐|music note|听音乐|play music
video|e04b|f03d|摄像|video camera|开始视频通话|start a video call
group|e7ef|f0c0|群组|group|看群成员|show the members
bulb|e90f|f0eb|灯泡|light bulb||
shield|e32a|f132|盾牌|shield||
storage|e1db|f1c0|存储|storage||
palette|e40a|f1fc|调色板|palette|换主题颜色|change the theme
translate|e8e2|f1ab|翻译|translate|翻译一下|translate it
power|e8ac|f011|电源|power|关机|turn off the phone
data|e1af|f200|流量|data usage||
cast|e307|f26c|投屏|cast|投到电视上|cast it to the TV
train|e570|f238|火车|train|坐火车去|go by train
bus|e530|f207|公交|bus|坐公交去|go by bus
book|e865|f02d|书|book|看书|read a book
school|e80c|f19d|学校|school||
work|e8f9|f0b1|公文包|briefcase||
gift|e8b1|f06b|礼物|gift|领礼物|get the gift
fitness|eb43|f21e|健身|fitness||
pets|e91d|f1b0|爪印|paw||
hospital|e548|f0f8|医院|hospital|挂号看病|see a doctor
scan|f206|f029|扫一扫|scan|扫二维码|scan a QR code
fullscreen|e5d0|f0b2|全屏|full screen|全屏观看|watch in full screen
history|e889|f1da|历史|history|看历史记录|show the history
calculator|ea5f|f1ec|计算器|calculator||
grid|e871|f009|宫格|grid|换成网格显示|show as a grid
list|e8ef|f03a|列表|list|换成列表显示|show as a list
bag|f1cc|f290|购物袋|shopping bag||
walk|e536|f183|步行|walk|走路去|go on foot
taxi|e559|f1ba|出租车|taxi|打车|get a taxi
movie|e02c|f008|电影|film|看电影|watch a film
headset|e310|f025|耳机|headphones|联系客服|contact support
keyboard|e312|f11c|键盘|keyboard||
remove|e15b|f068|减号|minus|减少一个|take one away
chevron|e5cc|f105|右箭头|right arrow||
forward|e5c8|f061|前进|forward|到下一页|go to the next page
down|e313|f107|向下箭头|down arrow|展开|expand it
up|e316|f106|向上箭头|up arrow|收起|collapse it
dialpad|e0bc|f00a|拨号盘|dial pad|打开拨号盘|open the dial pad
game|e338|f11b|游戏|game|玩游戏|play a game
trophy|ea23|f091|奖杯|trophy|看排行榜|see the ranking
key|e0da|f084|钥匙|key||
signal|e1c8|f012|信号|signal||
bank|e84f|f19c|银行|bank||
undo|e166|f0e2|撤销|undo|撤销上一步|undo the last step
copy|e14d|f0c5|复制|copy|复制这段内容|copy this
cut|e14e|f0c4|剪切|scissors|剪切这段内容|cut this
block|e14b|f05e|禁止|block||
sms|e625|f27b|短信|text message|发短信|send a text message
mute|e04f|f026|静音|mute|关掉声音|turn the sound off
mic_off|e02b|f131|关麦克风|muted microphone|把自己静音|mute myself
fast_forward|e01f|f04e|快进|fast forward|快进一下|go forward quickly
rewind|e020|f04a|快退|rewind|退回一点|go back a bit
coffee|e541|f0f4|咖啡|coffee cup||
umbrella|eb3e|f0e9|雨伞|umbrella||
snow|eb3b|f2dc|雪花|snowflake||
laptop|e30a|f109|电脑|computer||
mobile|e324|f10b|手机|mobile phone||
bike|e52f|f206|自行车|bicycle|骑车去|go by bike
child|eb41|f1ae|儿童|child||
rotate|e1c1|f079|屏幕旋转|rotation||
city|e7f1|f1ad|城市|city|切换城市|change the city
apps|e5c3|f00a|应用|apps|查看全部应用|show all apps
money|e227|f155|钱|money||
"""


@dataclass(frozen=True)
class Icon:
    """name: id used by layouts and pseudo-glyphs. wishes: goal-like instructions ("take a photo") per language."""

    name: str
    material: str
    awesome: str
    names: dict[Lang, str]
    wishes: dict[Lang, tuple[str, ...]]


def _parse(line: str) -> Icon:
    name, material, awesome, zh, en, zh_wishes, en_wishes = line.split("|")
    wishes: dict[Lang, tuple[str, ...]] = {
        "zh": tuple(w for w in zh_wishes.split(";") if w),
        "en": tuple(w for w in en_wishes.split(";") if w),
    }
    return Icon(name, chr(int(material, 16)), chr(int(awesome, 16)), {"zh": zh, "en": en}, wishes)


ICONS: dict[str, Icon] = {icon.name: icon for icon in map(_parse, _TABLE.strip().splitlines())}
