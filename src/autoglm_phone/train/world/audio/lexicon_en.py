"""Common English words that training's composed sentences are made of (`composed`), by what they do in a sentence.

They stand beside the single words of `words`; regular verbs get their forms in `composed`.
"""

# ruff: noqa: E501 (word lists read better in long lines)

from __future__ import annotations

from autoglm_phone.train.world.audio.words import _pool

# Regular: -s, -ed, -ing.
VERBS = _pool(
    """
    accept accuse adjust admire adopt adore affect afford allow amuse annoy apologize appoint appreciate approve
    arrange assign assist attach attract avoid bake balance base behave blame blend bless block boil bounce
    breathe browse bump bury calm care cause challenge chase cheat check cheer claim
    click collapse collect combine comfort complete compose confirm confuse connect contact continue convert convince
    correct count crawl create cross crush damage deceive decline decorate decrease define delay delete deliver deny
    depend describe deserve destroy detect develop disable disappear disconnect discover display divide donate
    drain drift earn edit educate embrace employ enable encourage end engage enlarge enter entertain escape
    examine excuse exist expand explore export extend face fade fasten fetch fill filter fire flash float flood flow fold
    follow force forward frame fry gather glow grade greet guide handle harm heal heat hike hire host
    hunt identify ignore import impress improve include inform injure insert inspect install
    intend interrupt introduce invent invest invite iron joke judge justify knock label land last
    launch lean lick like limit link list listen load locate look lower maintain manage mark marry match matter melt
    merge miss mix mute navigate need note notice obey observe obtain offer operate organize owe own pack paint
    park paste pause perform phone plant point polish postpone pour pray predict preserve
    pretend prevent preview process produce promise protect prove pull punch purchase raise react
    receive recharge recognize recommend record recover recycle reduce reflect refresh refund register reject
    relate relax release reload rely remain remind remove rename rent repair repeat replace reply rescue reserve
    resist resize respect restart restore resume retire return reverse review roll rotate ruin sail save
    schedule scratch scroll search secure select separate settle share shift shorten shout sign skate sketch
    slice slow sneeze soak solve sort sound spare spill stare start store stretch study submit subscribe
    succeed suffer suggest suit supply support surf suspect switch taste tease test tie tour
    trace track train treat trust twist type unfold unlock unpack update upgrade upload
    use vanish view wander warn waste watch wave weigh whisper whistle wipe witness
    wonder worry yawn yell zoom archive bookmark call clean close cook copy dance download dress dry enjoy finish fix help
    laugh lock move open order play push remember show smile stay talk tap text thank touch translate travel try turn
    visit wait walk want wash work
    """
)
# base, past
IRREGULAR: tuple[tuple[str, str], ...] = tuple(
    (base, past)
    for base, past in zip(
        _pool("become begin bend bite blow break bring build buy catch choose come cut dig do draw drink drive eat fall feed feel fight find fly forget forgive freeze get give go grow hang have hear hide hit hold hurt keep know lay lead leave lend let lie lose make mean meet pay put read ride ring rise run say see seek sell send set shake shine shoot shut sing sit sleep slide speak spend stand stick swim take teach tear tell think understand wake win write"),
        _pool("became began bent bit blew broke brought built bought caught chose came cut dug did drew drank drove ate fell fed felt fought found flew forgot forgave froze got gave went grew hung had heard hid hit held hurt kept knew laid led left lent let lay lost made meant met paid put read rode rang rose ran said saw sought sold sent set shook shone shot shut sang sat slept slid spoke spent stood stuck swam took taught tore told thought understood woke won wrote"),
        strict=True,
    )
)  # fmt: skip
# Such as have a plural in -s.
NOUNS = _pool(
    """
    ability access address advantage adventure agency agent agreement aim airline alarm alley ambulance anchor angle
    answer antenna apology appetite applause approach apron architect argument arrow article artist attachment attempt
    attitude attraction auction author avenue award bakery bamboo bandage banner barn barrel battle bead beam beard beetle
    belief bill binder biscuit blackboard blender blouse blueberry bolt bonus booking bookshelf bracelet brand breeze brick
    bride bucket budget bug bulletin bullet bumper bundle bush buyer cabinet cable cactus cage calculator camel campus canal
    candidate canoe cap caption carrot cartoon cashier ceiling celebrity cellar ceremony champion channel character charger
    chat cheek cherry chimney circuit citizen claim client cliff climate clinic closet clown clue code coin collar column
    comment commercial committee conference contact container contest contract conversation cookie corridor costume cottage
    cough counter coupon course cowboy crab crayon creature crew cricket crisis crop crown cucumber currency cushion
    cyclist dashboard deadline deal debate decade decision deck deer default defender definition degree delivery design
    detective diagram dialogue diamond dictionary digit dinosaur diploma direction disaster discount display document dolphin
    donkey doorbell draft drawer drawing driver drum editor effort elbow election emoji emotion employee entrance envelope
    episode error essay evening event evidence examination example excuse exhibition expert explanation eyebrow fabric factor
    failure faucet favor feature fee feedback festival fiction file filter fingerprint fireplace fisherman flame flashlight
    folder font footstep forecast formula fortune fountain fox frame freezer function funeral gallery gap garage garlic gear
    generation gesture ghost giant glacier glimpse globe goose gossip gown graduate grandchild graph grocery group guest guideline
    habit hallway handle handshake harbor headache headline heater height helicopter helmet hero highway hint hook horizon
    hostel household icon image impression inbox income index ingredient inspector instance instrument interview
    invention invitation invoice item jar jaw jeep jellyfish jewel jigsaw journal journalist jungle kettle keyword kidney
    kilometer kitten knee knob ladder lawn lawyer layer layout leaf league lens lever license lid lifeguard lightning
    link liquid listing loan lobby location logo loop lotion lounge lyric magnet mailbox manager mango map marble margin
    mask mat mattress mayor meal meaning measure mechanic medal medium meeting melody mention merchant merit mermaid mess
    microphone microwave mission mode monitor monster motion motor movement mug mushroom musician mystery nail napkin
    nephew nerve nickname notebook notification novel nut oak occasion offer office officer onion opera operation opinion
    option orchard orchestra origin outlet outline oven overcoat owl package pageant panda panel parade parrot
    passage passport password patch path pattern payment peanut pedal penalty penguin pepper percent phrase pickle pie
    pigeon pineapple pirate pitch platform playlist plug plum podcast poet pond popup portion portrait poster potter
    presentation princess printer priority privilege procedure professor profile profit project proof proposal province
    psychologist pumpkin puppet purse pyramid question quilt quiz quote raccoon radish raft ranch range rate razor reader
    reason rebel receipt reception recipe reference reflection refund refrigerator region relative reminder reporter request
    reservation resident resource response restriction ribbon riddle ritual robot rocket route routine row rug ruler
    sailor salary salesman sample satellite saucer scene schedule scholar scooter screenshot screwdriver script
    seafood seal seashell section selfie sender server session setting shadow shark shelter sheriff shield shift shower
    shrimp sidewalk signal signature singer slipper slogan slot smartphone snack sneaker snowflake sofa software
    solution sparrow speaker specialist spice sponge spot squirrel standard statement statue status step sticker
    storage stove stranger strategy strawberry string stripe studio subtitle suburb subway suitcase sunflower sunset
    supermarket surgeon surprise survey symbol symptom syrup tablet tag tail tailor target task taste tattoo technique
    teenager television temper tenant term terminal texture theme theory thermometer thread throat thumb timer tip
    tissue title toast tomato toolbar tornado tortoise tourist tractor trail trailer transfer translation trap treasure trend
    trial tribe trick trophy trumpet tube tulip tune turkey turtle tutor twig umbrella unlock upgrade upload user vacation
    vaccine variety vase vehicle vendor venue version victory videogame viewer vinegar visa visitor vitamin volcano volunteer
    waitress walnut wardrobe warehouse warning waterfall wave website weekend whale wheelchair widget width wing wisdom
    witness wolf workshop wound wrench writer yogurt zipper zone
    """
)
TRAITS = _pool(
    """
    absent abstract active actual additional adorable advanced aggressive artificial attractive automatic
    aware awful awkward balanced bald beloved blank blond bold boring brief brilliant calm capable casual cautious certain
    cheerful classic clumsy colorful comfortable complex confident confused constant cool corrupt cozy creative crisp crowded
    crucial curly cute daily decent default delicate delicious desperate detailed digital distant dizzy double dull eager
    elderly elegant enormous entire essential evil extreme faint fair faithful fancy fatal federal feminine fierce final flexible
    foggy fond formal fortunate fragile frequent friendly frozen generous genuine global golden graceful grateful greasy greedy
    grumpy guilty handsome handy harmful harmless hasty helpful hidden hollow hopeful huge humble icy ideal illegal immediate
    incredible independent indoor initial innocent intense internal jealous jolly junior keen latest lazy legal likely limited
    local lonely loose loyal magical main massive mature maximum medical mental mild minimum minor missing moral muddy mutual
    mysterious national native natural naughty needy negative nervous noisy nosy numb obvious odd official online optional
    organic original outdoor outgoing painful pale parallel partial patient peaceful perfect permanent personal pleasant
    polite positive potential powerful practical precious previous primary private proper public rainy random rapid rare raw
    recent relevant reliable remote responsible romantic rotten royal rusty sandy secret selfish senior sensitive severe shallow
    shiny shy silent silly similar sincere skinny sleepy slim slippery sloppy smelly snowy social sour spare spicy spiritual
    steady steep sticky stiff straight strict stubborn sudden suitable sunny superb suspicious temporary tender terrific
    tidy tough tropical typical unable unfair unique unknown unlocked unread unusual upper urban urgent useless vague valid
    various vast violent virtual visible visual vital weekly weird wicked wild windy wireless wise worthy
    """
)
ADVERBS = _pool(
    """
    absolutely actually almost already also always barely basically briefly carefully certainly clearly constantly correctly
    deeply definitely directly easily either else entirely especially eventually exactly extremely fairly finally firmly
    fortunately frequently fully generally gently gladly gradually hardly honestly hopefully immediately indeed instead just
    lately loudly luckily mainly maybe mostly nearly necessarily never nicely normally obviously occasionally often once only
    originally particularly perfectly perhaps politely possibly practically probably promptly properly quickly quietly quite rather
    recently regularly roughly sadly safely secretly seriously sharply simply slightly slowly smoothly somehow sometimes soon
    specially still strongly suddenly surely surprisingly terribly thankfully together totally truly twice unfortunately usually
    very warmly weekly well widely wildly yet
    """
)
PLACED = _pool(
    "about above across after against along among around at before behind below beneath beside between beyond by despite during except for from in inside into like near of off on onto outside over past since through throughout till to toward under until up upon with within without"
)
LINKS = _pool(
    "and or but so because although though unless while whereas when whenever where wherever if as since once before after until that than whether nor yet"
)
WHO = _pool(
    """
    I|you|he|she|it|we|they|someone|nobody|everyone|anybody|the other one|both of them|my son|my daughter|my cousin|my nephew|his
    boss|her husband|their guests|our neighbors|the pilot|the nurse|the waiter|the captain|the engineer|the lawyer|the tourist|this
    man|that woman|these people|those girls|the boys|all the children|my team|the whole family|the old lady|the young artist|who|what|
    Mom|Dad|Grandma|Grandpa|Uncle|Aunt
    """
)
WHOM = _pool("me you him her it us them someone nobody everyone myself yourself himself herself ourselves themselves")
WHOSE = _pool(
    "the a my your his her its our their this that each every another any some no one whose which what the the my"
)
MODALS = _pool(
    "can|could|will|would|shall|should|may|might|must|cannot|can't|won't|wouldn't|didn't|doesn't|don't|have to|used to|is going to|had better|has to"
)
WHEN = _pool(
    """
    today|yesterday|tomorrow|tonight|this morning|last night|on Monday|on Tuesday|on Wednesday|on Thursday|on Friday|on Saturday|on Sunday|
    in January|in February|in March|in April|in May|in June|in July|in August|in September|in October|in November|in December|
    next week|last month|next year|at noon|at midnight|in spring|in summer|in autumn|in winter|twice a day|every hour|for hours|
    a week ago|long ago|right away|at once|later|earlier|sooner or later|as soon as possible|from now on|in the meantime|all day long
    """
)
APPS = _pool(
    """
    Outlook|Teams|Discord|Signal|Snapchat|LinkedIn|Skype|Firefox|Safari|Opera|Dropbox|Evernote|Shazam|Tinder|Airbnb|Booking|Expedia|
    PayPal|Venmo|Walmart|Target|Costco|eBay|Etsy|Starbucks|Duolingo|Kindle|Audible|Twitch|Hulu|Disney Plus|Apple Music|Google Drive|
    Google Photos|Google Docs|Google Pay|Google Home|Apple Pay|Find My|FaceTime|Voice Memos|Shortcuts|Stocks|News|Books|Home|Measure|
    Paint|Scanner|Downloads|Sound Recorder|Tips|Magnifier|DoorDash|Grubhub|Strava|Fitbit|Headspace|Canva|Notion|Trello|Quora|Tumblr|
    Medium|Steam|Minecraft|Chess|Candy Crush|Wikipedia|Trip Planner|Bank of America|Weather Channel|Smart Home|Daily News
    """
)
SETTINGS = _pool(
    """
    developer options|refresh rate|caller ID|call forwarding|blocked numbers|voice assistant|gesture navigation|one handed mode|split screen|
    picture in picture|lock screen|always on display|data roaming|network sharing|app permissions|parental controls|password manager|
    face recognition|background apps|backup|factory reset|restart|cache|equalizer|vibration strength|date and time|time zone|keyboard sounds|
    text size|color temperature|screen rotation|fast charging|power saving|software update|privacy|security|wallpaper|home screen|live captions|
    color inversion|magnification|subtitles|emergency contacts|location access|nearby share|cast|quick settings|digital wellbeing|screen time
    """
)  # fmt: skip
NAMES = _pool(
    """
    Albert Alison Andrea Anita Arthur Audrey Barbara Bernard Betty Billy Bobby Brenda Brian Bruce Carla Caroline Cathy Charlie Cindy Claire
    Colin Connie Dana Danny Dave Debbie Dennis Derek Donald Donna Doris Edith Edwin Elaine Ellen Elsie Ernest Esther Eugene Eva Felix Fiona
    Florence Fred Gail Gavin Glenda Gloria Gordon Greg Gwen Harold Hazel Heather Herbert Holly Howard Hugo Ian Ingrid Irene Isaac Jackie
    Janet Jason Jeff Jerry Jill Joan Joe Jonathan Joyce Judy Julian Keith Ken Kyle Larry Lena Lisa Lloyd Lois Louis Louise Lydia
    Marcus Margaret Marie Marilyn Mario Martha Martin Maurice Melissa Mitchell Monica Murray Nancy Natalie Nathan Nigel Norman Pamela Pat Patrick
    Phoebe Randy Ray Rebecca Rita Robin Roger Ronald Rose Roy Ruby Russell Ruth Sandra Scott Shane Sharon Shirley Sonia Stanley Stella
    Stuart Sue Susan Sylvia Ted Teresa Terry Thomas Todd Tony Tracy Trevor Valerie Vera Vincent Violet Walter Warren Wayne Yvonne
    """
)
# What is done with a phone, and to what: drawn more often than the other words.
PHONE_VERBS = _pool(
    """
    connect|disconnect|update|mute|schedule|delete|close|open|start|stop|install|download|upload|search|check|save|send|share|
    record|play|pause|skip|raise|lower|switch|cancel|book|pay|call|text|remind|find|launch|exit|sign in|log in|copy|move|sync|dial|answer|
    hang up|read|translate|note|edit|clear|clean|scan|print|lock|unlock|transfer|forward|reply|add|remove|rename|turn on|turn off|set|reset|
    show|hide|zoom in|scroll|swipe|tap|press|hold|type|paste|attach|archive|block|follow|subscribe|buy|sell|order|return|rate|review
    """
)
PHONE_NOUNS = _pool(
    """
    chat|chats|message|messages|photo|photos|video|videos|phone|call|calls|number|contact|contacts|alarm|alarms|calendar|reminder|email|emails|
    file|files|folder|account|password|balance|order|orders|package|delivery|ticket|tickets|weather|route|address|location|volume|brightness|
    ringtone|screen|wallpaper|app|apps|notification|notifications|network|hotspot|Bluetooth|headphones|speaker|battery|storage|screenshot|
    recording|voice|note|notes|meeting|meetings|taxi|cab|table|room|flight|train|font size|fingerprint|language|keyboard|privacy|update|updates
    """
)
