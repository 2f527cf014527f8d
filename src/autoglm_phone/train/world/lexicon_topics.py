"""What the mini model does not know: things people ask about, by type, and the domains kept for the test set.

`SEEN[type][lang]` may be dealt out to the splits; `HELD_OUT[type][lang]` are whole domains (space flight, gardening,
chess, wine, opera, dinosaurs, sewing, sailing, architecture, astrology) that occur in test samples alone.
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from autoglm_phone.train.world.sample import Lang

Topics = dict[str, dict[Lang, tuple[str, ...]]]


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.replace("\n", " ").split(",") if part.strip()))


SEEN: Topics = {
    "concept": {
        "zh": _split("""量子力学,相对论,光合作用,黑洞,基因,细胞分裂,区块链,通货膨胀,货币政策,供求关系,民主,哲学,存在主义,禅宗,儒家思想,道教,
            板块运动,地震,火山,台风,厄尔尼诺,温室效应,彩虹,极光,潮汐,月食,重力,电磁感应,半导体,核聚变,核裂变,放射性,元素周期表,酸碱中和,
            氧化还原,有机化学,催化剂,蛋白质,维生素,抗体,疫苗,病毒,细菌,进化论,自然选择,食物链,生态系统,微积分,勾股定理,质数,概率论,矩阵,
            拓扑学,群论,傅里叶变换,蝴蝶效应,熵,弦理论,暗物质,冷战,文艺复兴,工业革命,丝绸之路,科举制度,封建制度,殖民主义,世界大战,联合国,
            宪法,合同法,知识产权,遗产税,社会保险,股票,基金,债券,期货,比特币,市盈率,国内生产总值,人工智能,神经网络,操作系统,数据库,
            递归,编译器,云计算,物联网,虚拟现实,量子计算机,加密算法,防火墙,蓝牙,发动机,涡轮,变速箱,锂电池,太阳能板,风力发电,
            心理学,潜意识,弗洛伊德学说,抑郁症,拖延症,认知偏差,巴洛克音乐,爵士乐,和弦,五线谱,京剧,书法,水墨画,印象派,雕塑,摄影构图,
            篮球规则,越位,马拉松,瑜伽,太极拳,冲浪,滑雪,太极,中医,针灸,经络,糖尿病,高血压,感冒,近视,骨质疏松,过敏,失眠,
            语法,修辞,成语,甲骨文,象形文字,拉丁语,方言,诺贝尔奖,奥斯卡奖,世界杯,人口老龄化,城市化,全球化,碳中和,转基因,杂交水稻"""),
        "en": _split("""quantum mechanics,relativity,photosynthesis,black holes,genes,cell division,blockchain,inflation,monetary policy,supply and demand,
            democracy,philosophy,existentialism,zen,Confucianism,Taoism,plate tectonics,earthquakes,volcanoes,typhoons,El Nino,the greenhouse effect,
            rainbows,the northern lights,tides,a lunar eclipse,gravity,induction,semiconductors,nuclear fusion,fission,radioactivity,the periodic table,
            acids,oxidation,organic chemistry,a catalyst,proteins,vitamins,antibodies,vaccines,viruses,bacteria,evolution,natural selection,food chains,
            ecosystems,calculus,the Pythagorean theorem,prime numbers,probability theory,matrices,topology,group theory,the Fourier transform,
            the butterfly effect,entropy,string theory,dark matter,the Cold War,the Renaissance,the Industrial Revolution,the Silk Road,feudalism,
            colonialism,the United Nations,a constitution,contract law,patents,inheritance tax,social insurance,stocks,funds,bonds,futures,bitcoin,
            GDP,artificial intelligence,neural networks,operating systems,databases,recursion,compilers,cloud computing,the internet of things,
            virtual reality,quantum computers,encryption,firewalls,Bluetooth,engines,turbines,gearboxes,lithium batteries,solar panels,wind power,
            psychology,the subconscious,depression,procrastination,cognitive bias,baroque music,jazz,chords,sheet music,ballet,calligraphy,
            impressionism,sculpture,the rule of thirds,offside,marathons,yoga,tai chi,surfing,skiing,acupuncture,diabetes,high blood pressure,
            the common cold,short-sightedness,allergies,insomnia,grammar,rhetoric,idioms,hieroglyphs,Latin,dialects,the Nobel Prize,the Oscars,
            the World Cup,an aging society,urbanization,globalization,carbon neutrality,hybrid rice,DNA,a semicolon,karma,the stock market"""),
    },
    "person": {
        "zh": _split("""爱因斯坦,牛顿,伽利略,达尔文,居里夫人,霍金,图灵,爱迪生,特斯拉,李白,杜甫,苏轼,鲁迅,莫言,曹雪芹,施耐庵,孔子,老子,庄子,
            秦始皇,汉武帝,唐太宗,武则天,康熙,成吉思汗,诸葛亮,曹操,关羽,岳飞,林则徐,孙中山,拿破仑,凯撒,亚历山大大帝,华盛顿,林肯,丘吉尔,
            甘地,曼德拉,贝多芬,莫扎特,巴赫,肖邦,梵高,达芬奇,毕加索,莎士比亚,托尔斯泰,雨果,海明威,周杰伦,刘德华,成龙,王菲,邓丽君,张艺谋,
            姚明,刘翔,李小龙,乔丹,梅西,罗纳尔多,马云,马化腾,任正非,雷军,乔布斯,比尔盖茨,马斯克,巴菲特,袁隆平,屠呦呦,钱学森,杨振宁"""),
        "en": _split("""Einstein,Newton,Galileo,Darwin,Marie Curie,Stephen Hawking,Alan Turing,Edison,Nikola Tesla,Shakespeare,Tolstoy,Victor Hugo,Hemingway,
            Mark Twain,Jane Austen,Confucius,Plato,Aristotle,Socrates,Napoleon,Julius Caesar,Cleopatra,Alexander the Great,George Washington,Lincoln,
            Churchill,Gandhi,Nelson Mandela,Beethoven,Mozart,Bach,Chopin,Van Gogh,Leonardo da Vinci,Picasso,Michael Jackson,Madonna,Taylor Swift,
            Beyonce,Elvis,Tom Hanks,Jackie Chan,Bruce Lee,Michael Jordan,Messi,Ronaldo,Serena Williams,Usain Bolt,Steve Jobs,Bill Gates,Elon Musk,
            Warren Buffett,Jeff Bezos,Genghis Khan,Columbus,Marco Polo,Joan of Arc,Freud,Karl Marx,Kant,Nietzsche,Homer,Dante,Euler,Gauss,Ada Lovelace"""),
    },
    "place": {
        "zh": _split("""法国,德国,日本,韩国,巴西,埃及,印度,澳大利亚,加拿大,俄罗斯,墨西哥,南非,肯尼亚,土耳其,希腊,意大利,西班牙,瑞典,冰岛,泰国,越南,
            北京,上海,广州,深圳,成都,杭州,西安,南京,重庆,拉萨,纽约,伦敦,巴黎,东京,悉尼,罗马,开罗,莫斯科,长江,黄河,尼罗河,亚马逊河,珠穆朗玛峰,
            富士山,撒哈拉沙漠,太平洋,青海湖,西湖,故宫,长城,兵马俑,埃菲尔铁塔,金字塔,自由女神像,黄山,泰山,九寨沟,张家界,三亚,香港,澳门,台北"""),
        "en": _split("""France,Germany,Japan,Korea,Brazil,Egypt,India,Australia,Canada,Russia,Mexico,South Africa,Kenya,Turkey,Greece,Italy,Spain,Sweden,Iceland,
            Thailand,Vietnam,Peru,Chile,Nigeria,Beijing,Shanghai,New York,London,Paris,Tokyo,Sydney,Rome,Cairo,Moscow,Chicago,Texas,California,Alaska,
            the Yangtze,the Nile,the Amazon,Mount Everest,Mount Fuji,the Sahara,the Pacific Ocean,Lake Victoria,the Great Wall,the Eiffel Tower,
            the Pyramids,the Statue of Liberty,Hawaii,Bali,Venice,Berlin,Madrid,Dublin,Oslo,Toronto,Seattle,Boston,Hong Kong,Singapore,Delhi"""),
    },
    "work": {
        "zh": _split("""红楼梦,西游记,水浒传,三国演义,聊斋志异,史记,论语,道德经,诗经,静夜思,将进酒,水调歌头,岳阳楼记,出师表,背影,朝花夕拾,围城,活着,
            平凡的世界,三体,哈利波特,老人与海,百年孤独,战争与和平,哈姆雷特,罗密欧与朱丽叶,小王子,一千零一夜,安徒生童话,泰坦尼克号,阿凡达,
            流浪地球,霸王别姬,大话西游,蒙娜丽莎,清明上河图,命运交响曲,茉莉花,青花瓷,东风破,月光奏鸣曲,王者荣耀,原神,我的世界,狮子王,千与千寻"""),
        "en": _split("""Hamlet,Romeo and Juliet,Macbeth,War and Peace,Les Miserables,The Old Man and the Sea,Moby Dick,Pride and Prejudice,Harry Potter,
            The Lord of the Rings,The Little Prince,One Hundred Years of Solitude,1984,Animal Farm,The Odyssey,The Iliad,Don Quixote,Frankenstein,Dracula,
            Titanic,Avatar,The Matrix,Star Wars,The Godfather,Inception,Frozen,The Lion King,Toy Story,Mona Lisa,The Starry Night,Guernica,
            the Moonlight Sonata,Bohemian Rhapsody,Hotel California,Yesterday,Imagine,Minecraft,Fortnite,Tetris,Game of Thrones,Friends,Sherlock"""),
    },
    "event": {
        "zh": _split("""法国大革命,美国独立战争,第一次世界大战,第二次世界大战,鸦片战争,辛亥革命,五四运动,长征,赤壁之战,淝水之战,安史之乱,玄武门之变,戊戌变法,
            柏林墙倒塌,苏联解体,北京奥运会,东京奥运会,上届世界杯决赛,去年的总统选举,上周的足球联赛,昨晚的篮球赛,切尔诺贝利事故,泰坦尼克号沉没,
            唐山大地震,黑死病,十字军东征,滑铁卢战役,珍珠港事件,阿波罗登月,大航海时代,郑和下西洋,贞观之治,甲午战争"""),
        "en": _split("""the French Revolution,the American Civil War,World War I,World War II,the Opium War,the fall of the Berlin Wall,the Boston Tea Party,
            the Battle of Waterloo,the attack on Pearl Harbor,the Great Depression,the Black Death,the Crusades,the fall of Rome,the Chernobyl disaster,
            the sinking of the Titanic,the 2008 Olympics,the last World Cup final,the last election,the Super Bowl,yesterday's match,last night's game,
            the Norman Conquest,the Gold Rush,the Great Fire of London,the signing of the Magna Carta,the Vietnam War,the Boxer Rebellion,Woodstock"""),
    },
    "dish": {
        "zh": _split("""红烧肉,宫保鸡丁,麻婆豆腐,糖醋排骨,鱼香肉丝,番茄炒蛋,回锅肉,水煮鱼,北京烤鸭,小笼包,饺子,兰州拉面,蛋炒饭,火锅底料,酸辣土豆丝,清蒸鱼,
            提拉米苏,戚风蛋糕,披萨,意大利面,牛排,寿司,泡菜,咖喱鸡,蛋挞,曲奇,豆浆,凉皮,煎饼果子,肉夹馍,佛跳墙,叉烧,红豆汤,皮蛋瘦肉粥"""),
        "en": _split("""pancakes,pizza,spaghetti carbonara,lasagna,tiramisu,sushi,ramen,fried rice,kung pao chicken,mapo tofu,beef stew,roast chicken,apple pie,
            cheesecake,brownies,bread,omelettes,guacamole,tacos,burritos,curry,pad thai,kimchi,dumplings,risotto,paella,hummus,falafel,clam chowder,
            mashed potatoes,meatballs,fish and chips,chocolate mousse,waffles,bagels,scones,gazpacho,goulash"""),
    },
    "illness": {
        "zh": _split("""头疼,发烧,咳嗽,胃疼,拉肚子,失眠,牙疼,腰疼,感冒,过敏,皮肤痒,高血压,糖尿病,痛风,颈椎病,近视,口腔溃疡,鼻炎,便秘,扭伤脚,
            贫血,脱发,中暑,烫伤,骨折,胸闷,心慌,头晕,耳鸣,关节痛"""),
        "en": _split("""a headache,a fever,a cough,stomach pain,diarrhea,insomnia,a toothache,back pain,a cold,an allergy,itchy skin,high blood pressure,diabetes,
            gout,a stiff neck,a sore throat,a rash,a sprained ankle,anemia,hair loss,sunstroke,a burn,a broken arm,chest pain,dizziness,
            ringing ears,joint pain,heartburn,nosebleeds,asthma"""),
    },
    "legal": {
        "zh": _split("""离婚,租房押金,劳动合同,交通事故,遗产分配,被公司辞退,酒驾,欠钱不还,网购退货,拖欠工资,侵犯名誉,诈骗,买房合同,签证,移民,报税,公积金,
            信用卡逾期,商标注册,专利申请"""),
        "en": _split("""divorce,a rental deposit,a work contract,a car accident,an inheritance,being fired,drunk driving,unpaid debts,refunds,unpaid wages,
            defamation,fraud,buying a house,a visa,immigration,income tax,a mortgage,a lawsuit,a trademark,child custody"""),
    },
    "write": {
        "zh": _split("""春天的诗,关于大海的散文,母亲节的贺卡,求职信,辞职报告,情书,毕业论文,小说开头,科幻故事,童话,广告语,演讲稿,请假条,检讨书,歌词,对联,
            年终总结,项目计划书,商业计划,影评,读后感,旅游攻略,菜谱,剧本,相声,日记,新闻稿,产品介绍,祝福语,一千字作文"""),
        "en": _split("""a poem about spring,an essay about the sea,a love letter,a cover letter,a resignation letter,a thesis,the start of a novel,a science
            fiction story,a fairy tale,a slogan,a speech,a song,a business plan,a film review,a book report,a travel guide,a recipe,a screenplay,a diary
            entry,a press release,a product description,a birthday card,a limerick,a haiku,a bedtime story,a eulogy,a blog post,a rap,a toast,an obituary"""),
    },
    "code": {
        "zh": _split("""快速排序,二叉树,爬虫,网页,贪吃蛇游戏,计算器程序,正则表达式,数据库查询,登录页面,安卓应用,冒泡排序,链表,多线程下载,聊天室,自动化脚本,
            机器学习模型,人脸识别程序,单元测试,Dockerfile,微信小程序"""),
        "en": _split("""quicksort,a binary tree,a web crawler,a web page,a snake game,a calculator,a regular expression,an SQL query,a login page,an Android app,
            bubble sort,a linked list,a chat server,a shell script,a neural network,a unit test,a Dockerfile,a REST API,a sorting algorithm,a parser"""),
    },
    "danger": {
        "zh": _split("""炸弹,毒药,枪支,病毒程序,假钞,假身份证,毒品,迷药,火药,钓鱼网站,木马,燃烧瓶,盗号软件,开锁工具,作弊器"""),
        "en": _split("""a bomb,poison,a gun,a computer virus,fake money,a fake passport,drugs,explosives,gunpowder,a phishing site,a trojan,ransomware,a lock
            pick,malware,a cheat tool"""),
    },
    "live": {
        "zh": _split("""天气,新闻,股价,汇率,油价,金价,房价,路况,比分,票房,空气质量,热搜,彩票号码,航班动态,快递进度,日出时间,限行尾号,疫情,基金净值,演唱会门票"""),
        "en": _split("""weather,news,stock prices,exchange rate,oil price,gold price,house prices,traffic,score,box office,air quality,trending topics,lottery
            numbers,flight status,parcel status,sunrise time,bitcoin price,petrol price,bus delays,concert tickets"""),
    },
}  # fmt: skip

HELD_OUT: Topics = {
    "concept": {
        "zh": _split("""空间站对接,火箭回收,逃逸速度,引力弹弓,扦插,嫁接,堆肥,无土栽培,王车易位,西西里防御,残局理论,单宁,醒酒,葡萄酒产区,咏叹调,宣叙调,
            美声唱法,恐龙灭绝,三叶虫,寒武纪大爆发,锁边缝,斜裁,打版,迎风航行,六分仪,锚泊,飞扶壁,哥特式尖拱,斗拱,悬挑结构,水星逆行,上升星座,塔罗牌"""),
        "en": _split("""orbital docking,rocket landing,escape velocity,a gravity assist,grafting,composting,hydroponics,castling,the Sicilian defence,endgame theory,
            tannins,decanting,terroir,an aria,a recitative,bel canto,the dinosaur extinction,trilobites,the Cambrian explosion,an overlock stitch,
            bias cutting,tacking upwind,a sextant,anchoring,flying buttresses,gothic arches,cantilevers,mercury retrograde,rising signs,tarot cards"""),
    },
    "person": {
        "zh": _split("杨利伟,加加林,阿姆斯特朗,卡斯帕罗夫,谢军,帕瓦罗蒂,卡拉斯,威尔第,普契尼,高迪,贝聿铭,梁思成,香奈儿,迪奥,麦哲伦,库克船长"),
        "en": _split("Yuri Gagarin,Neil Armstrong,Garry Kasparov,Magnus Carlsen,Pavarotti,Maria Callas,Verdi,Puccini,Gaudi,Le Corbusier,Coco Chanel,Magellan,Captain Cook"),
    },
    "place": {
        "zh": _split("酒泉发射场,肯尼迪航天中心,国际空间站,邱园,波尔多,托斯卡纳,斯卡拉歌剧院,悉尼歌剧院,圣家堂,流水别墅,佛光寺,巴拿马运河,合恩角,火星,土星环"),
        "en": _split("Cape Canaveral,the Space Station,Kew Gardens,Bordeaux,Tuscany,La Scala,the Sagrada Familia,Fallingwater,the Panama Canal,Cape Horn,Mars,Saturn"),
    },
    "work": {
        "zh": _split("图兰朵,茶花女,蝴蝶夫人,卡门,营造法式,齐民要术,星际穿越,火星救援,后翼弃兵,侏罗纪公园"),
        "en": _split("Turandot,La Traviata,Madama Butterfly,Carmen,Interstellar,The Martian,The Queen's Gambit,Jurassic Park,Apollo 13,Sideways"),
    },
    "event": {
        "zh": _split("挑战者号事故,首次太空行走,人机象棋大战,美洲杯帆船赛,巴黎时装周,郁金香泡沫,恐龙大灭绝"),
        "en": _split("the Challenger disaster,the first spacewalk,the Deep Blue match,the America's Cup,Paris Fashion Week,tulip mania,the Chelsea Flower Show"),
    },
    "task": {
        "zh": _split("种多肉,给月季剪枝,扦插绿萝,织毛衣,缝拉链,做旗袍,下国际象棋,开帆船,打水手结,品红酒,唱歌剧,看星盘,算命,造航模,养兰花"),
        "en": _split("grow succulents,prune roses,knit a sweater,sew a zipper,make a dress,play chess,sail a boat,tie a bowline,taste wine,sing opera,read a birth chart,tell fortunes,build a model rocket,repot orchids"),
    },
}  # fmt: skip

FOREIGN: tuple[str, ...] = _split("""Bonjour comment ça va ?,Quelle heure est-il ?,Où est la gare ?,Je voudrais un café,Wie geht es dir?,Was ist das?,Ich verstehe nicht,
    Wo ist der Bahnhof?,¿Cómo estás?,¿Dónde está el baño?,Me gusta la playa,Quiero comprar pan,Come stai?,Dove si trova il museo?,Buongiorno a tutti,Bom dia,
    Onde fica a praia?,Obrigado pela ajuda,Как дела?,Где находится метро?,Сколько это стоит?,Привет,こんにちは,お元気ですか,これは何ですか,駅はどこですか,ありがとうございます,
    안녕하세요,이것은 무엇입니까,감사합니다,지금 몇 시예요,สวัสดีครับ,ขอบคุณมาก,مرحبا كيف حالك,أين المحطة,שלום מה שלומך,नमस्ते आप कैसे हैं,Merhaba nasılsın,
    Xin chào bạn khỏe không,Hej hur mår du?,Hoe gaat het?,Jak się masz?,Γεια σου τι κάνεις,Selamat pagi,Mitä kuuluu?,Apa kabar?,Habari gani,Dobrý den,Cześć""")  # fmt: skip
