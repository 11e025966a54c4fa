"""Words that the rules for facts know: what a person can be, have, play, speak, suffer from.

Lists instead of patterns wherever a pattern would take "I'm a genius" for a trade or "I have a question" for a thing.
Written as alternatives of a regular expression.
"""
# ruff: noqa: E501 - lists are read across

from __future__ import annotations

import re


def any_of(words: str) -> str:
    """The words, one of them, longest first; an underscore stands for a space."""
    found = sorted(words.split(), key=len, reverse=True)
    return "(?:" + "|".join(re.escape(word.replace("_", " ")).replace(r"\ ", r"[ -]?") for word in found) + ")"


# --- English ------------------------------------------------------------------------------------

JOBS = any_of(
    "accountant actor actress analyst archaeologist architect artist assistant astronomer author baker barber barista "
    "bartender biologist bookkeeper botanist bricklayer builder butcher caregiver carer carpenter cashier chef chemist "
    "cleaner clerk coach composer consultant cook counsellor counselor courier curator dancer dentist designer developer "
    "dietitian diplomat director doctor driver ecologist economist editor electrician engineer entrepreneur farmer "
    "farrier filmmaker firefighter fisherman florist freelancer gardener geologist goldsmith graphic_designer "
    "hairdresser historian housewife illustrator instructor interpreter janitor jeweller journalist judge "
    "kindergarten_teacher lawyer lecturer librarian lifeguard locksmith machinist manager mathematician mechanic midwife "
    "miner model musician nanny neurologist notary novelist nurse nutritionist optician painter paralegal paramedic "
    "pediatrician paediatrician pharmacist philosopher photographer physician physicist physiotherapist pianist pilot "
    "plumber poet police_officer policeman postman potter priest principal producer professor programmer psychiatrist "
    "psychologist radiologist realtor receptionist reporter researcher sailor salesman saleswoman salesperson scientist "
    "sculptor seamstress secretary security_guard shepherd shopkeeper singer social_worker soldier solicitor statistician "
    "steward stewardess student supervisor surgeon tailor teacher technician therapist translator tutor undertaker "
    "veterinarian vet violinist waiter waitress warehouse_worker watchmaker weaver welder widow widower winemaker worker "
    "writer zookeeper freshman sophomore undergraduate postgraduate intern apprentice trainee pensioner veteran "
    "mother father mum mom dad parent grandmother grandfather grandma grandpa twin only_child"
)
RELATIVES = any_of(
    "mother father mum mom dad parents parent wife husband partner girlfriend boyfriend fiancé fiancée fiance fiancee "
    "son sons daughter daughters child children kid kids baby toddler twins brother brothers sister sisters sibling "
    "siblings grandmother grandfather grandma grandpa granny grandparents grandson granddaughter grandchildren "
    "grandchild aunt uncle cousin cousins niece nieces nephew nephews mother-in-law father-in-law sister-in-law "
    "youngest eldest oldest brother-in-law stepson stepdaughter stepmother stepfather twin_brother twin_sister best_friend family "
    "roommate roommates flatmate flatmates housemate neighbour neighbor boss godson goddaughter"
)
PETS = any_of(
    "dog dogs cat cats puppy puppies kitten kittens hamster hamsters guinea_pig guinea_pigs rabbit rabbits parrot "
    "parrots budgie budgies canary tortoise tortoises turtle turtles snake snakes lizard gecko goldfish fish horse "
    "horses pony ponies goat goats sheep chickens hens ducks donkey ferret ferrets rat rats mouse mice gerbil axolotl "
    "labrador poodle beagle terrier dachshund spaniel collie retriever bulldog greyhound hedgehog cow cows bees "
    "aquarium pet pets"
)
THINGS = any_of(
    "car van motorbike motorcycle scooter bike bicycle e-bike boat sailing_boat sailboat canoe kayak caravan camper "
    "campervan truck tractor house flat apartment cottage cabin farm garden vegetable_garden balcony allotment "
    "greenhouse piano guitar violin cello drum_kit telescope camera 3D_printer sewing_machine bakery restaurant shop "
    "café cafe blog podcast youtube_channel tattoo tattoos pacemaker driving_licence driver's_license degree PhD "
    "master's_degree bachelor's_degree sauna pool fireplace workshop"
)
DISEASES = any_of(
    "diabetes asthma epilepsy ADHD ADD autism dyslexia dyscalculia arthritis celiac_disease coeliac_disease "
    "celiac coeliac_condition crohn's crohn's_disease eczema psoriasis hypertension high_blood_pressure "
    "low_blood_pressure migraines hay_fever anaemia anemia lupus fibromyalgia tinnitus glaucoma IBS insomnia OCD PTSD "
    "bipolar_disorder multiple_sclerosis MS parkinson's parkinson's_disease osteoporosis endometriosis rheumatism "
    "scoliosis vertigo sleep_apnea sleep_apnoea a_heart_condition a_pacemaker a_prosthetic_leg a_hearing_aid "
    "a_bad_knee a_bad_back chronic_pain hypothyroidism hyperthyroidism gout hemophilia haemophilia cancer leukemia "
    "depression anxiety"
)
CONDITIONS = any_of(
    "colour-blind color-blind colourblind colorblind deaf blind dyslexic autistic diabetic epileptic asthmatic "
    "left-handed right-handed ambidextrous pregnant short-sighted near-sighted hard_of_hearing lactose_intolerant "
    "gluten_intolerant gluten-free coeliac celiac teetotal"
)
DIETS = any_of("vegan vegetarian pescatarian pescetarian flexitarian fruitarian halal kosher teetotaller teetotaler")
STANDINGS = any_of(
    "retired unemployed self-employed adopted jewish muslim christian catholic "
    "protestant buddhist hindu sikh atheist agnostic orthodox bilingual trilingual gay lesbian bisexual asexual trans "
    "transgender non-binary an_only_child the_eldest the_youngest"
)
LANGUAGES = any_of(
    "english french german spanish italian portuguese dutch swedish norwegian danish finnish icelandic polish czech "
    "slovak hungarian romanian bulgarian greek turkish russian ukrainian serbian croatian slovenian arabic hebrew "
    "persian farsi hindi urdu bengali tamil telugu punjabi marathi gujarati chinese mandarin cantonese japanese korean "
    "vietnamese thai malay indonesian tagalog swahili amharic yoruba zulu afrikaans welsh irish gaelic basque catalan "
    "galician latin esperanto estonian latvian lithuanian albanian armenian georgian sign_language luxembourgish"
)
PLAYED = any_of(
    "piano guitar bass_guitar bass violin viola cello double_bass flute clarinet oboe bassoon saxophone trumpet "
    "trombone tuba horn harp drums percussion accordion ukulele banjo mandolin organ harmonica recorder bagpipes sitar "
    "erhu guzheng pipa chess go bridge poker football soccer tennis badminton basketball volleyball handball hockey "
    "ice_hockey rugby cricket golf squash baseball table_tennis darts billiards snooker lacrosse water_polo"
)
SPORTS = any_of(
    "marathons half-marathons triathlons ultramarathons 10k 5k swimming cycling climbing bouldering running jogging "
    "dancing hiking skiing sailing rowing surfing yoga pilates fishing camping skating"
)
MEDICINES = any_of(
    "blood_thinners insulin statins antidepressants beta_blockers antihistamines ibuprofen_daily painkillers warfarin "
    "metformin lithium vitamin_d_daily"
)
NATIONS = any_of(
    "german french italian spanish british english irish scottish welsh dutch belgian swiss austrian polish czech "
    "swedish norwegian danish finnish russian ukrainian greek turkish american canadian mexican brazilian argentinian "
    "chilean colombian peruvian chinese japanese korean vietnamese thai indian pakistani bangladeshi nepali indonesian "
    "filipino australian nigerian kenyan ghanaian ethiopian egyptian moroccan tunisian algerian iranian iraqi israeli "
    "lebanese syrian hungarian romanian bulgarian serbian croatian portuguese taiwanese malaysian singaporean"
)
OWNED = any_of(
    "name surname last_name first_name full_name nickname mother_tongue native_language first_language "
    "nationality hometown home_town blood_type blood_group height weight timezone time_zone star_sign zodiac_sign "
    "religion job profession occupation hobby hobbies pronouns wedding_anniversary anniversary bus_stop"
)
NUMBERED = any_of(
    "address postcode zip_code email email_address phone_number number shoe_size dress_size ring_size username locker_number "
    "locker_code wifi_password member_number membership_number customer_number account_number licence_plate "
    "license_plate number_plate gate_code door_code pin parking_spot seat room_number"
)
"""What is known by a number or a name."""
HELD = any_of(
    "phone laptop computer tablet car bike bicycle camera motorbike boat house flat apartment locker wifi_network wifi "
    "wi-fi printer guitar piano employer school university doctor dentist vet therapist landlord teacher"
)
"""What is of a make, or has a name; all else said of it is how it fares today."""
WORKPLACES = any_of(
    "hospital library school bank office factory shop store supermarket restaurant bakery lab laboratory clinic hotel bar "
    "pub café cafe company startup studio museum kitchen warehouse university college kindergarten nursery pharmacy "
    "garage theatre theater firm agency farm garden mine call_centre call_center nursing_home construction logistics "
    "finance sales marketing retail HR healthcare education banking insurance tourism advertising publishing accounting "
    "engineering law_firm government ministry council charity NGO church airport airline railway shipyard post_office "
    "fire_station police_station animal_shelter city_hall publishing_house newspaper radio_station film_industry "
    "people animals children horses wood refugees IT"
)
TOOLS = any_of(
    "linux windows mac macos ubuntu debian fedora arch python rust java javascript typescript kotlin swift go c c++ vs "
    "vscode code github gitlab docker kubernetes aws azure gcp react vue angular android ios iphone excel word notion "
    "settings step chapter page section question part vim emacs neovim chrome firefox"
)
"""What people move to and come from without leaving the house."""
WEEKDAYS = any_of(
    "monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays sundays"
)
MONTHS = any_of(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sept sep oct nov dec"
)
ENGLISH_DATE = (
    rf"(?:(?:(?:on|in|next|this|until|from|by)\s+)+(?:the\s+)?(?:{WEEKDAYS}|{MONTHS}|\d{{1,2}}(?:st|nd|rd|th)?\b"
    rf"|week\b|month\b|year\b|spring\b|summer\b|autumn\b|fall\b|winter\b|weekend\b|christmas|easter|20\d\d)|tomorrow\b"
    rf"|\b{MONTHS}\s+\d{{1,2}}|\d{{1,2}}\s+{MONTHS}\b)"
)
EVENTS = any_of(
    "appointment meeting interview exam test flight train wedding surgery operation party concert date deadline "
    "conference presentation checkup check-up job_interview doctor's_appointment driving_test trip holiday vacation "
    "rehearsal recital match marathon reunion due_date"
)

# --- Chinese, simplified (what is matched is simplified first) -----------------------------------

ZH_JOBS = any_of(
    "护士 医生 教师 老师 程序员 工程师 会计 律师 司机 厨师 警察 消防员 军人 农民 工人 学生 大学生 研究生 博士生 中学生 高中生 初中生 "
    "小学生 设计师 摄影师 记者 编辑 作家 画家 音乐家 演员 歌手 翻译 导游 销售 经理 老板 店主 公务员 银行职员 职员 护工 保安 保姆 快递员 "
    "外卖员 理发师 美容师 药剂师 牙医 兽医 建筑师 电工 木工 水管工 飞行员 空姐 乘务员 教练 教授 讲师 科学家 研究员 自由职业者 全职妈妈 "
    "全职太太 家庭主妇 退休教师 退休工人 退伍军人 志愿者 心理咨询师 分析师 产品经理 项目经理 前端 后端 运营 人事 秘书 助理 收银员 服务员 "
    "图书管理员 幼师 班主任 校长 院长 主播 博主 创业者 个体户 渔民 船员 焊工 技师 护理员 调酒师 咖啡师 面包师 裁缝"
)
ZH_RELATIVES = any_of(
    "妈妈 爸爸 妈 爸 母亲 父亲 父母 爸妈 老婆 老公 妻子 丈夫 太太 先生 爱人 媳妇 女朋友 男朋友 对象 未婚妻 未婚夫 儿子 女儿 孩子 宝宝 "
    "大儿子 小儿子 大女儿 小女儿 哥哥 弟弟 姐姐 妹妹 哥 弟 姐 妹 双胞胎 爷爷 奶奶 外公 外婆 姥姥 姥爷 孙子 孙女 外孙 外孙女 叔叔 阿姨 "
    "舅舅 姑姑 姨妈 表哥 表弟 表姐 表妹 堂哥 堂弟 堂姐 堂妹 侄子 侄女 外甥 外甥女 婆婆 公公 岳母 岳父 丈母娘 嫂子 姐夫 妹夫 闺蜜 室友 "
    "邻居 同事 同桌 导师"
)
ZH_PETS = "(?:小|大|老|花|黑|白|橘|布偶|英短|美短|流浪)*(?:猫|狗|狗狗|猫咪|犬|金毛|泰迪|柯基|哈士奇|拉布拉多|仓鼠|兔子|乌龟|鹦鹉|金鱼|鱼|鸟|马|羊|鸡|鸭|蛇|蜥蜴|豚鼠|边牧|比熊|柴犬)"
ZH_THINGS = any_of(
    "车 汽车 自行车 摩托车 电动车 单车 房子 公寓 别墅 院子 花园 菜园 阳台 钢琴 吉他 小提琴 大提琴 相机 船 农场 店 餐馆 咖啡馆 公司 "
    "驾照 博士学位 硕士学位 纹身"
)
ZH_DISEASES = any_of(
    "高血压 低血压 糖尿病 哮喘 鼻炎 过敏性鼻炎 胃病 胃炎 心脏病 癫痫 抑郁症 焦虑症 自闭症 关节炎 痛风 湿疹 牛皮癣 贫血 偏头痛 失眠症 "
    "甲亢 甲减 乙肝 白内障 青光眼 颈椎病 腰椎间盘突出 脂肪肝 高血脂 多动症 阅读障碍 色盲 色弱 花粉症 帕金森 癌症 蚕豆病 乳糖不耐症 洁癖 恐高症"
)
ZH_LANGUAGES = "(?:[\u4e00-\u9fff]{1,3}语|英文|中文|法文|德文|日文|韩文|西班牙文|[\u4e00-\u9fff]{2}话|手语)"
ZH_SKILLS = (
    "(?:弹(?:钢琴|吉他|琵琶|古筝|古琴|贝斯|尤克里里)|拉(?:小提琴|大提琴|二胡|手风琴)|吹(?:笛子|箫|口琴|小号|萨克斯)|打(?:鼓|架子鼓|篮球|羽毛球|"
    "乒乓球|网球|太极)|下(?:围棋|象棋|国际象棋)|游泳|开车|滑雪|滑冰|冲浪|潜水|做饭|唱歌|跳舞|画画|做[\u4e00-\u9fff]菜|书法|编程|骑马|骑车|缝纫|修车|织毛衣|摄影)"
)
ZH_DATE = (
    "(?:(?:今|明|后|大后)天|下?(?:个)?(?:周|星期|礼拜)[一二三四五六日天末]|下个?(?:周|月|星期)|明年|今年|(?:[零〇一二三四五六七八九十两]{1,3}|\\d{1,4})"
    "(?:年|月|号|日|点)|春节|中秋|国庆|暑假|寒假|元旦|圣诞)"
)
ZH_EVENTS = any_of(
    "面试 考试 会议 会 航班 火车 高铁 飞机 手术 体检 婚礼 约会 聚会 比赛 演出 答辩 预约 签证 驾考 课 生日会 音乐会"
)
ZH_OWNED = any_of(
    "名字 姓名 小名 昵称 英文名 生日 年龄 母语 国籍 家乡 老家 地址 邮箱 手机号 电话 电话号码 血型 鞋码 身高 体重 星座 属相 职业 工作 爱好 "
    "手机 电脑 笔记本 平板 车 自行车 相机 车牌 车牌号 会员号 工号 学号 座位号 航班 车位 门禁码 门牌号 学校 专业 导师 医生 狗 猫 "
    "宠物 结婚纪念日 纪念日 偶像 信仰 口味 时区"
)
