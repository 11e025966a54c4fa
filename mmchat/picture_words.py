"""Words about pictures: what asks for one, and the Chinese names of what pictures are tagged with.

Tags and the text tower of the default vision model are English. So that 红色自行车的照片 finds a red bicycle, the
Chinese names of a picture's tags stand beside them in the full-text index, and a Chinese query is put into English,
word by word, before it is compared with pictures. Tables and wording are this project's own; how much they find is
measured by `benchmarks/picture_recall.py`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache

from mmchat.patterns import later
from mmchat.script import is_mostly_chinese

NAMES = """
fish 鱼 | shark 鲨鱼 | ray 鳐鱼 | chicken 鸡 公鸡 母鸡 小鸡 | bird 鸟 小鸟 | duck 鸭子 鸭 | goose 鹅 | swan 天鹅
salamander 蝾螈 | frog 青蛙 蛙 | turtle 乌龟 海龟 龟 | lizard 蜥蜴 | crocodile 鳄鱼 | dinosaur 恐龙 | snake 蛇
fossil 化石 | spider 蜘蛛 | scorpion 蝎子 | insect 昆虫 虫子 甲虫 | elephant 大象 象 | kangaroo 袋鼠
sea creature 海洋生物 海星 水母 | snail 蜗牛 | crab 螃蟹 | lobster 龙虾 | whale 鲸鱼 鲸 | seal 海豹
dog 狗 狗狗 小狗 大狗 犬 | wolf 狼 | hyena 鬣狗 | fox 狐狸 | cat 猫 猫咪 小猫 | wild cat 豹子 美洲豹 | lion 狮子
tiger 老虎 虎 | cheetah 猎豹 | bear 熊 | butterfly 蝴蝶 | rabbit 兔子 兔 | hamster 仓鼠 | squirrel 松鼠
horse 马 马匹 | zebra 斑马 | pig 猪 | hippopotamus 河马 | cow 牛 奶牛 | sheep 绵羊 羊 | goat 山羊 | antelope 羚羊
camel 骆驼 | weasel 黄鼠狼 | monkey 猴子 猴 | lemur 狐猴 | panda 熊猫 大熊猫 | airplane 飞机 客机 | airship 飞艇
ship 轮船 大船 船舶 | boat 船 小船 帆船 | ambulance 救护车 | bus 公交车 公共汽车 巴士 大巴 校车
car 汽车 轿车 小汽车 车 | car mirror 后视镜 | truck 卡车 货车 | van 面包车 | camper 房车
train 火车 列车 动车 高铁 地铁 | motorcycle 摩托车 摩托 | bicycle 自行车 单车 脚踏车 | wagon 马车 | tractor 拖拉机
tank 坦克 | snowplow 扫雪车 | golf cart 高尔夫球车 | rocket 火箭 | traffic light 红绿灯 信号灯 | street sign 路牌 路标
parking meter 停车计时器 | mailbox 邮箱 | bench 长椅 长凳 | pole 杆子 电线杆 | clock 时钟 钟表 挂钟 | watch 手表
cell phone 手机 | telephone 电话 | computer 电脑 计算机 | keyboard 键盘 | mouse 鼠标 | laptop 笔记本电脑
monitor 显示器 屏幕 | tv 电视 电视机 | remote control 遥控器 | printer 打印机 | speaker 音箱 | music player 音乐播放器
camera 相机 照相机 | projector 投影仪 | desk 书桌 办公桌 | chair 椅子 | couch 沙发 | dining table 餐桌 桌子 | bed 床
pillow 枕头 | blanket 毯子 被子 | cabinet 柜子 橱柜 | bookcase 书架 书柜 | lamp 灯 台灯 | curtain 窗帘 | rug 地毯
toilet 马桶 厕所 | toilet paper 卫生纸 | bathtub 浴缸 | sink 水槽 洗手池 | towel 毛巾 | washing machine 洗衣机
oven 烤箱 | microwave 微波炉 | toaster 烤面包机 | refrigerator 冰箱 | dishwasher 洗碗机 | coffee maker 咖啡机
waffle iron 华夫饼机 | bottle 瓶子 水瓶 | cup 杯子 茶杯 咖啡 | glass 玻璃杯 | pitcher 水壶 | bowl 碗 | plate 盘子 碟子
pan 锅 平底锅 | knife 刀 | spoon 勺子 | spatula 锅铲 | tray 托盘 | teapot 茶壶 | salt shaker 盐瓶 | vase 花瓶
potted plant 盆栽 | bucket 桶 水桶 | basket 篮子 | candle 蜡烛 | backpack 背包 书包 | bag 包 袋子
shopping cart 购物车 | trash can 垃圾桶 | umbrella 雨伞 伞 | chest 箱子 | box 盒子 纸箱 | book 书 书本 | pen 笔 钢笔
handbag 手提包 | wallet 钱包 | glasses 眼镜 墨镜 太阳镜 | tie 领带 领结 | hat 帽子 | helmet 头盔 安全帽
jacket 外套 夹克 大衣 | shirt 衬衫 上衣 衣服 | dress 裙子 连衣裙 | jeans 牛仔裤 | swimsuit 泳衣 泳装 泳裤 | skirt 短裙
suit 西装 | uniform 制服 | gown 礼服 婚纱 长袍 | shoe 鞋 鞋子 | sock 袜子 | glove 手套 | scarf 围巾 | mask 面具 口罩
necklace 项链 | wig 假发 | stroller 婴儿车 | baseball 棒球 | scoreboard 记分牌 | basketball 篮球 | soccer ball 足球
tennis ball 网球 | tennis racket 网球拍 球拍 | volleyball 排球 | rugby ball 橄榄球 | golf ball 高尔夫球 高尔夫
ping-pong ball 乒乓球 | skis 滑雪板 | sled 雪橇 | parachute 降落伞 | guitar 吉他 | piano 钢琴 | violin 小提琴
drum 鼓 | trumpet 小号 喇叭 | gun 枪 | tent 帐篷 | balloon 气球 | teddy bear 泰迪熊 玩具熊 | toy 玩具 | swing 秋千
crutch 拐杖 | church 教堂 | mosque 清真寺 | castle 城堡 | tower 塔 塔楼 | bridge 桥 大桥 吊桥 | dam 水坝 大坝
house 房子 房屋 屋子 | fence 栅栏 围栏 篱笆 | wall 墙 墙壁 | dock 码头 | fountain 喷泉 | statue 雕像 雕塑
greenhouse 温室 | store 商店 店铺 超市 | restaurant 餐厅 饭店 餐馆 | barber 理发店 | stage 舞台 | library 图书馆
stairs 楼梯 台阶 | patio 露台 | window 窗户 窗子 | menu 菜单 | crossword 填字游戏 | website 网站 网页 | apple 苹果
orange 橙子 橘子 | lemon 柠檬 | banana 香蕉 | strawberry 草莓 | pineapple 菠萝 | fig 无花果 | broccoli 西兰花
cauliflower 花椰菜 菜花 | cabbage 卷心菜 白菜 | cucumber 黄瓜 | squash 南瓜 | pepper 辣椒 | corn 玉米 | mushroom 蘑菇
pizza 披萨 比萨 | sandwich 三明治 | hot dog 热狗 | bread 面包 | pasta 面条 意大利面 意面 | soup 汤
potatoes 土豆 马铃薯 | meat 肉 牛排 | pie 馅饼 | dessert 甜点 甜品 | ice cream 冰淇淋 冰激凌 | chocolate 巧克力
guacamole 鳄梨酱 | mountain 山 高山 大山 雪山 | water 水 水面 | beach 海滩 沙滩 海边 | flower 花 花朵 鲜花 | hay 干草
wedding 婚礼 | scuba diver 潜水员 | hair dryer 吹风机 | scissors 剪刀 | platypus 鸭嘴兽 | koala 考拉 | wombat 袋熊
mongoose 獴 | meerkat 狐獴 | porcupine 豪猪 | marmot 土拨鼠 | beaver 河狸 | llama 羊驼 | skunk 臭鼬 | badger 獾
armadillo 犰狳 | three-toed sloth 树懒 | abacus 算盘 | accordion 手风琴 | apiary 蜂箱 | apron 围裙
balance beam 平衡木 | Band-Aid 创可贴 | banjo 班卓琴 | barbell 杠铃 | barometer 气压计 | beaker 烧杯 | baby bib 围嘴
ring binder 活页夹 | binoculars 望远镜 | birdhouse 鸟屋 | bottle cap 瓶盖 | hunting bow 弓箭 | bra 胸罩 | broom 扫帚
buckle 皮带扣 | cannon 大炮 | can opener 开罐器 | carousel 旋转木马 | tool kit 工具箱
automated teller machine 取款机 提款机 | cassette 磁带 | chain 链子 铁链 | chainsaw 电锯
bell or wind chime 风铃 铃铛 | movie theater 电影院 | combination lock 密码锁 | corkscrew 开瓶器
construction crane 起重机 吊车 | diaper 尿布 纸尿裤 | dome 圆顶 | drumstick 鼓槌 | dumbbell 哑铃
electric fan 电风扇 风扇 | envelope 信封 | forklift 叉车 | gas pump 加油机 | gong 锣 | hair clip 发夹 | hammer 锤子
handkerchief 手帕 | hard disk drive 硬盘 | harmonica 口琴 | harp 竖琴 | hatchet 斧头 | honeycomb 蜂巢
gymnastic horizontal bar 单杠 | clothes iron 熨斗 | carved pumpkin 南瓜灯 | jigsaw puzzle 拼图 | joystick 操纵杆
knee pad 护膝 | knot 绳结 | lawn mower 割草机 | lighter 打火机 | lipstick 口红 | lotion 乳液
loupe magnifying glass 放大镜 | sawmill 锯木厂 | magnetic compass 指南针 | manhole cover 井盖 | matchstick 火柴
maze 迷宫 | microphone 麦克风 话筒 | modem 调制解调器 | mosquito net 蚊帐 | mousetrap 捕鼠器 | muzzle 嘴套
metal nail 钉子 | baby pacifier 奶嘴 | oscilloscope 示波器 | paddle 桨 船桨 | padlock 挂锁 | pajamas 睡衣
parallel bars 双杠 | pencil case 铅笔盒 文具盒 | pencil sharpener 卷笔刀 | perfume 香水 | piggy bank 存钱罐
pinwheel 风车 | plunger 马桶吸 | pool table 台球桌 | power drill 电钻 | prison 监狱 | hockey puck 冰球
punching bag 沙袋 | radiator 暖气片 | radio 收音机 | eraser 橡皮 | ruler measuring stick 尺子 | safe 保险箱
weighing scale 秤 体重秤 | screw 螺丝 | screwdriver 螺丝刀 | seat belt 安全带 | sewing machine 缝纫机 | shield 盾牌
shovel 铲子 铁锹 | sleeping bag 睡袋 | snorkel 呼吸管 | snowmobile 雪地摩托 | solar thermal collector 太阳能板
spider web 蜘蛛网 | stethoscope 听诊器 | strainer 漏勺 | stretcher 担架 | submarine 潜水艇 | sunscreen 防晒霜
mop 拖把 | electrical switch 开关 | syringe 注射器 针筒 | torch 火炬 | tripod 三脚架 | triumphal arch 凯旋门
typewriter keyboard 打字机 | vacuum cleaner 吸尘器 | vending machine 自动售货机 | whistle 哨子 | wool 羊毛
pomegranate 石榴 | jackfruit 菠萝蜜 | bubble 泡泡 气泡 | acorn 橡子 | man 男人 男子 男士 老人 先生
woman 女人 女子 女士 妇女 美女 | child 孩子 小孩 小孩子 儿童 小朋友 男孩 男孩子 小男孩 女孩 女孩子 小女孩
baby 婴儿 宝宝 | crowd 人群 | fire hydrant 消防栓 | stop sign 停车标志 | giraffe 长颈鹿 | suitcase 行李箱 手提箱
frisbee 飞盘 | snowboard 单板滑雪 | kite 风筝
baseball bat 棒球棒 球棒 | baseball glove 棒球手套 | skateboard 滑板 | surfboard 冲浪板
wine glass 酒杯 红酒杯 | fork 叉子 | carrot 胡萝卜 | donut 甜甜圈 | cake 蛋糕 | toothbrush 牙刷 | sky 天空
grass 草 草地 草坪 草丛 | tree 树 树木 大树 | forest 森林 树林 | field 田野 田地 | river 河 河流 小河 河边
lake 湖 湖泊 湖边 | park 公园 | garden 花园 | city 城市 | airport 机场 | farm 农场 | road 路 道路 公路 马路
classroom 教室 | party 聚会 派对 | sunset 日落 夕阳 | night 夜晚 夜景 晚上 | rain 雨 下雨 | painting 油画 绘画
drawing 素描 简笔画 | screenshot 截图 截屏 | chart 图表 | map 地图 | document 文件 文档
person 人 人们 男人 女人 孩子 小孩 男孩 女孩 小男孩 小女孩 | animal 动物 | food 食物 食品 饭菜 菜 | fruit 水果
vehicle 车 车辆 交通工具 | kitchen 厨房 | bathroom 浴室 卫生间 洗手间 | office 办公室 | bedroom 卧室
living room 客厅 | street 街道 街上 大街 街头 | snow 雪 雪地 | sea 大海 海 海洋 | sport 运动 体育 比赛
musical instrument 乐器 | swimming pool 游泳池 泳池 | playground 游乐场 操场 | sports field 运动场 球场
black-and-white photo 黑白照片 黑白 | page of text 文字 文档 文件 | blank picture 空白图片 | darkness 黑暗 昏暗
mostly red 红色 | mostly orange 橙色 | mostly yellow 黄色 | mostly green 绿色 | mostly blue 蓝色 | mostly purple 紫色
mostly pink 粉色 | playing baseball 打棒球 | playing tennis 打网球 | playing basketball 打篮球
playing soccer 踢足球 踢球 | playing football 打橄榄球 | playing volleyball 打排球 | playing hockey 打冰球
playing golf 打高尔夫球 打高尔夫 | playing table tennis 打乒乓球 | playing pool 打台球 | skiing 滑雪 | sledding 坐雪橇
swimming 游泳 | rowing 划船 | sailing 帆船 | riding a bicycle 骑自行车 骑车 | riding a motorcycle 骑摩托车
riding a horse 骑马 | racing 赛车 | cooking 做饭
eating 吃东西 吃饭 | playing the guitar 弹吉他 | playing music 演奏音乐
hiking 徒步 爬山 | climbing 攀爬 | shopping 购物 | using a computer 用电脑 | getting married 结婚 | parachuting 跳伞
camping 露营 | doing gymnastics 做体操 | lifting weights 举重
"""
"""tag, then its Chinese names; the first stands for the tag, all find it."""

BREEDS = """
Golden Retriever 金毛 金毛犬 金毛寻回犬 | Labrador Retriever 拉布拉多 拉布拉多犬
German Shepherd Dog 德国牧羊犬 德牧 牧羊犬 | Siberian Husky 哈士奇 | Toy Poodle 贵宾犬 泰迪犬 | Standard Poodle 贵宾犬
Pembroke Welsh Corgi 柯基 柯基犬 | Border Collie 边境牧羊犬 边牧 | Dalmatian 斑点狗 | Chihuahua 吉娃娃 | Pug 巴哥犬
Pomeranian 博美 博美犬 | French Bulldog 法国斗牛犬 法斗 | Samoyed 萨摩耶 | Greyhound 灵缇 | Siamese cat 暹罗猫
Persian cat 波斯猫 | tabby cat 虎斑猫 | brown bear 棕熊 | polar bear 北极熊 | red fox 赤狐 | goldfish 金鱼
flamingo 火烈鸟 | peacock 孔雀 | penguin 企鹅 | king penguin 企鹅 | parrot 鹦鹉 | ostrich 鸵鸟 | owl 猫头鹰
bald eagle 老鹰 秃鹰 | dolphin 海豚 | school bus 校车 | fire truck 消防车 | police van 警车 | sports car 跑车
taxicab 出租车 | pickup truck 皮卡 | mountain bike 山地车 山地自行车 | sailboat 帆船 | canoe 独木舟
coffee mug 马克杯 | espresso 咖啡 | cheeseburger 汉堡 汉堡包 | violin 小提琴 | grand piano 三角钢琴
electric guitar 电吉他 | acoustic guitar 木吉他 | sunglasses 墨镜 太阳镜
"""
"""Finer names that a tag may have, and things that people name so."""

ALSO = """
red 红色 红 | blue 蓝色 蓝 | green 绿色 绿 | yellow 黄色 黄 | black 黑色 黑 | white 白色 白 | brown 棕色 褐色 棕
orange 橙色 橘色 | purple 紫色 紫 | pink 粉色 粉红色 粉红 粉 | grey 灰色 灰 | golden 金色 | silver 银色
colourful 彩色 五颜六色 | blond 金发 | big 大 | small 小 | old 旧 破旧 | young 年轻 | tall 高大 | round 圆 圆形
boy 男孩 男孩子 小男孩 男生 | girl 女孩 女孩子 小女孩 女生 姑娘 | man 男人 男子 男士 男的 先生 | old man 老人 老头
woman 女人 女子 女士 妇女 女的 | lady 美女 | couple 情侣 夫妻 | family 一家人 家人 全家 全家福 | friends 朋友 朋友们
people 人 人们 大家 | player 运动员 球员 队员 | musician 乐手 | soldier 士兵 军人 | police 警察 | doctor 医生
bride 新娘 | dancer 舞者 | rider 骑手 | cyclist 骑行者 | climber 登山者 | fisherman 渔夫 | running 奔跑 跑步 跑
walking 走路 走 行走 散步 | jumping 跳跃 跳 跳起 | sitting 坐 坐着 | standing 站 站着 站立 | lying 躺 躺着
sleeping 睡觉 睡 | swimming 游泳 | playing 玩 玩耍 嬉戏 打闹 | eating 吃 吃饭 | drinking 喝 喝水 | riding 骑 骑着 骑车
climbing 攀爬 爬 | rock climbing 攀岩 | hiking 爬山 登山 徒步 | skiing 滑雪 | skating 滑冰 溜冰
skateboarding 玩滑板 滑滑板 | surfing 冲浪 | diving 潜水 跳水 | fishing 钓鱼 | dancing 跳舞 | singing 唱歌
reading 看书 读书 | cooking 做饭 | camping 露营 | kicking 踢 | throwing 扔 投 | catching 接住 抓住
holding 拿 拿着 抱 抱着 举 举着 | wearing 穿 穿着 戴 戴着 | carrying 叼 叼着 背 背着 | pushing 推 推着
smiling 微笑 笑 大笑 | talking 聊天 交谈 说话 | driving 开车 驾驶 | flying 飞 飞行 | chasing 追逐 追 | looking 看着
playing soccer 踢球 踢足球 | playing basketball 打篮球 | playing tennis 打网球 | playing baseball 打棒球
playing guitar 弹吉他 | wave 浪 海浪 波浪 | rock 岩石 石头 | cliff 悬崖 峭壁 | sand 沙子 沙 | pool 泳池 游泳池 水池
playground 游乐场 游乐园 操场 | sports field 球场 运动场 赛场 | slide 滑梯 | desert 沙漠 | waterfall 瀑布
island 岛 小岛 | valley 山谷 | cloud 云 云彩 | sun 太阳 | moon 月亮 | star 星星 星空 | ice 冰 | fire 火
leaves 叶子 树叶 落叶 | building 建筑 大楼 楼 高楼 楼房 | skyscraper 摩天大楼 | room 房间 | door 门 | roof 屋顶
floor 地板 地上 | table 桌子 | station 车站 火车站 | school 学校 | hospital 医院 | museum 博物馆 | zoo 动物园
market 市场 | bar 酒吧 | cafe 咖啡馆 咖啡厅 | temple 寺庙 庙 | pagoda 宝塔 | Great Wall 长城 | garden path 小路 小径
track 跑道 赛道 | railway 铁轨 铁路 | sidewalk 路边 人行道 | ball 球 | stick 棍子 树枝 木棍 | rope 绳子
flag 旗 旗子 国旗 | sign 牌子 标志 招牌 | poster 海报 | lights 灯光 | fireworks 烟花 | Christmas tree 圣诞树
lantern 灯笼 | gift 礼物 | money 钱 | receipt 收据 发票 小票 | ticket 票 车票 门票 | passport 护照
business card 名片 | letter 信件 一封信 | note 便条 纸条 笔记 | invoice 账单 | code 代码 | error message 报错 错误
table of numbers 表格 | diagram 示意图 流程图 | logo 标识 商标 | breakfast 早餐 早饭 | lunch 午餐 午饭
dinner 晚餐 晚饭 | rice 米饭 饭 | dumplings 饺子 | noodles 面条 | hotpot 火锅 | tea 茶 | coffee 咖啡 | beer 啤酒
wine 红酒 葡萄酒 | vegetables 蔬菜 青菜 | egg 鸡蛋 蛋 | pants 裤子 短裤 长裤 | T-shirt T恤 | sweater 毛衣 | coat 大衣
boots 靴子 | face 脸 | hair 头发 | hand 手 | mouth 嘴 嘴里 | foot 脚 | tongue 舌头 | tail 尾巴 | horn 犄角
in the water 水中 水里 | by the water 水边 岸边 | in the snow 雪中 雪里 | in the air 空中 腾空
on the grass 草坪上 草地上 | outdoors 户外 野外 | indoors 室内 屋里 | race 赛跑 赛车 比赛 | game 游戏 球赛
concert 演唱会 音乐会 | birthday 生日 | holiday 假期 度假 | travel 旅行 旅游
"""
"""English, then the Chinese that is put into it in a query."""

_PICTURE = "(?:photo(?:graph)?|picture|pic|image|screen ?shot|snapshot|snap|selfie|drawing|painting|sketch)s?"
_ASKS_ENGLISH = later(
    rf"\b(?:the|that|those|my|your|any|which|what|old|earlier|of|some|a|an) (?:[\w'-]+ ){{0,3}}{_PICTURE}\b"
    rf"|\b{_PICTURE} (?:of|with|where|in which|that|from|i|showing|we)\b"
    r"|\bi(?:'ve| have)? (?:\w+ )?(?:showed|sent|shown) (?:to )?you\b|\bhave you seen\b"
)
_ASKS_CHINESE = later(
    "照片|相片|图片|图像|截图|截屏|合影|合照|自拍|画面|[那这哪][几一]?[张幅]|[张幅]图|给你看过|给你看的|[发传]给你的图|[发传]过的图"
)
PICTURE_FIGURES = later(
    r"\b(?:big|bigger|whole|full|clear|clearer|wider) picture\b|\b(?:self|public|brand|body) image\b"
    r"|\b(?:draw|paint|take|make|generate|create|edit|print|crop|resize|post|upload|download|save|delete|hang|frame) "
    r"(?:me |us )?(?:a|an|the|my|some|this|these|more|better|good)? ?(?:[\w'-]+ )?"
    rf"{_PICTURE}\b|\bpicture (?:this|yourself|frames?)\b|\b(?:motion|profile|moving) pictures?\b|\bdocker images?\b"
    "|(?:画|拍|生成|制作|打印|修|编辑|上传|下载|删除|保存)(?:一|几|个|些|好|出|了|一下)*[张幅]?[^，。？]{0,6}(?:图|照片|相片|照)"
)
"""Pictures that nobody showed: those still to be made, and figures of speech."""
_PLAIN_PICTURE = "(?:photo(?:graph)?|picture|pic|image|snapshot|snap|selfie)s?"
"""A screenshot, a drawing, a painting: that says what is seen."""
_WRAPPING = later(
    rf"\b{_PLAIN_PICTURE} (?:of|with|where|in which|that shows?|showing|from)\b|\b{_PLAIN_PICTURE}\b"
    r"|\b(?:do|can|could|did|have|would) (?:you|we|i)\b"
    r"|\bi(?:'ve| have)? (?:just )?(?:showed|sent|shown|gave)(?: to)?(?: you)?\b"
    r"|\b(?:shown?|showed|sent) (?:to )?you\b|\b(?:where|what|which|who|when)(?:'s| is| was| are| were)?\b"
    r"|\b(?:find|show|open|remember|recall|remind|see|seen|search|look|looking|give|get)(?: me| us| for| at)?\b"
    r"|\b(?:the|that|this|those|these|my|a|an|any|some|please|one|again|earlier|before|already|ago|last|yesterday|"
    r"today|have|had|has|did|do|you|me|i|is|was|there|about|still|ever)\b"
)
_CHINESE_WRAPPING = later(
    "照片|相片|图片|图像|截屏|画面|给你看过?的?|[发传]给你的|[那这哪][几一]?[张幅个]|你?还?记得|在哪里?|找(?:一下|出来?)?|有没有"
)
_LEADING = later(r"^(?:(?:of|with|in|on|for|to|from|and)(?: |$))+")
_WORDS = later(r"[a-z0-9][a-z0-9'-]*")
_HAN = later(r"[\u3400-\u9fff]+|[A-Za-z][A-Za-z'-]*")


_ASKS_ALIKE = later(
    r"\b(?:before|already|earlier|again|like (?:this|these|it)|similar|same)\b"
    "|以前|之前|[见看发给]过|类似|一样|相似|同一"
)


def asks_for_alike(text: str) -> bool:
    """Whether who shows a picture asks for others like it: "Have I shown you this before?"."""
    return bool(_ASKS_ALIKE().search(text.casefold()))


@dataclass(frozen=True, slots=True)
class PictureQuestion:
    """A query as pictures are asked for it."""

    content: str
    """What should be in the picture, in English; empty where the query does not say."""
    is_about_pictures: bool
    """Whether it names a picture: "that photo of the bike", and not "the bike"."""
    is_glossed: bool = False
    """Whether `content` is only those Chinese words that are known here."""


def picture_question(query: str) -> PictureQuestion:
    """Take a query apart into what asks for a picture and what should be in it."""
    plain = " ".join(unicodedata.normalize("NFKC", query).casefold().replace("’", "'").split())
    asked = PICTURE_FIGURES().sub(" ", plain)
    is_about = bool(_ASKS_ENGLISH().search(asked) or _ASKS_CHINESE().search(asked))
    is_glossed = is_mostly_chinese(plain)
    if is_glossed:
        content = in_english(_CHINESE_WRAPPING().sub(" ", plain))
    else:
        # Without the words around it, a question lies as near to its picture as the bare words do.
        content = _LEADING().sub("", " ".join(_WORDS().findall(_WRAPPING().sub(" ", plain)))) if is_about else plain
    return PictureQuestion(content, is_about, is_glossed)


def chinese_names(label: str) -> tuple[str, ...]:
    """What a tag is called in Chinese; empty where no name is known."""
    return _names().get(label.casefold(), ())


def in_english(text: str) -> str:
    """The words of a Chinese query that are known here, in English, in their order; English words stay."""
    glosses, longest = _glosses()
    words: list[str] = []
    for run in _HAN().findall(unicodedata.normalize("NFKC", text)):
        if run.isascii():
            words.append(run.casefold())
            continue
        at = 0
        while at < len(run):
            for end in range(min(len(run), at + longest), at, -1):
                if (english := glosses.get(run[at:end])) is not None:
                    words.append(english)
                    at = end
                    break
            else:
                at += 1
    return " ".join(dict.fromkeys(words))


def _parse(table: str) -> dict[str, tuple[str, ...]]:
    named: dict[str, tuple[str, ...]] = {}
    for entry in table.replace("\n", "|").split("|"):
        english = " ".join(word for word in entry.split() if word[0].isascii())
        chinese = tuple(word for word in entry.split() if not word[0].isascii())
        if english:
            named[english] = (*named.get(english, ()), *chinese)
    return named


@cache
def _names() -> dict[str, tuple[str, ...]]:
    return {label.casefold(): names for label, names in (_parse(NAMES) | _parse(BREEDS)).items()}


@cache
def _glosses() -> tuple[dict[str, str], int]:
    """Chinese → English, and the length of the longest Chinese."""
    glosses: dict[str, str] = {}
    for table in (ALSO, BREEDS, NAMES):
        for english, chinese in _parse(table).items():
            for word in chinese:
                glosses.setdefault(word, english)
    return glosses, max(map(len, glosses))
