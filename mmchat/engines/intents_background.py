"""Messages that hardly any assistant is there for: small talk and what belongs elsewhere, in English and Chinese.

What is told apart from a role's intents must be told from something. The sentences are the project's own.
"""

from __future__ import annotations

_ENGLISH = """
hey there, how are you doing today
good morning
what's up
nice to meet you
you're funny
are you a real person or a robot
who made you
what is your favourite colour
do you have any hobbies
I love my cat so much
my neighbour plays the trumpet every night
it's raining again
I'm bored, entertain me
tell me a joke about penguins
sing me a song
let's talk about something else
never mind
hmm
ok
that's interesting
I see what you mean
I don't think so
maybe later
lol
you know what I mean
what do you think about politics
who won the match last night
how tall is Mount Everest
what's the capital of Mongolia
who wrote War and Peace
how many planets are there
why is the sky blue
what happened in 1969
explain how photosynthesis works
is there life on Mars
when did the dinosaurs die out
what does serendipity mean
translate this sentence into Italian
how do you spell necessary
what is seventeen times twenty three
solve this equation for me
write a poem about the sea
write a python script that sorts a list
help me with my history homework
summarise this article for me
what's the best film of all time
recommend me a good book
how do I get over a breakup
I had a strange dream last night
my brother is getting married next month
what should I name my dog
how do I bake sourdough bread
give me a recipe for lentil soup
how long should I boil an egg
can I eat eggs after the best before date
is coffee bad for your heart
how do I lose weight fast
my back hurts when I sit for long
how much sleep do adults need
how do I teach my kid to ride a bike
what's the weather like tomorrow
will it snow at the weekend
what time is it in Tokyo
set an alarm for seven
remind me to call my mother
turn off the lights in the kitchen
play some jazz
how far is it to the beach
where is the nearest petrol station
when does the next train leave
what's the traffic like on the way to work
book me a flight to Lisbon
find me a hotel with a pool
is there a museum open on Mondays
how do I change a flat tyre
my car makes a weird noise
how do I unclog a sink
which plants need little light
how do I get wine out of a carpet
how do stocks work
should I buy bitcoin
who is the president of France
how do I vote in the election
how do I apply for a passport
what are the rules of chess
how do I learn the guitar
who is the best football player ever
what channel is the game on
how do I beat the last boss
what's trending on the internet
how do I make a good password
why is my laptop so slow
how do I take a screenshot
what is machine learning
how old is the universe
do aliens exist
what is the meaning of life
tell me a story about a dragon
pretend that you are a pirate
flip a coin
pick a number between one and ten
what day is it
are you there
can we be friends
say something nice about my sister
I just finished my exams
look at this sunset
guess where I am right now
"""

_CHINESE = """
你好呀
早上好
最近怎么样
很高兴认识你
你真有意思
你是真人还是机器人
你是谁做出来的
你最喜欢什么颜色
你平时有什么爱好
我特别爱我家的猫
邻居每天晚上都吹小号
又下雨了
好无聊，陪我聊聊天
讲个笑话吧
唱首歌给我听
我们换个话题吧
算了
嗯嗯
哦
哈哈哈
挺有意思的
我明白你的意思
我觉得不是
以后再说吧
你懂的
你怎么看国际局势
昨晚的比赛谁赢了
珠穆朗玛峰有多高
蒙古的首都是哪里
红楼梦是谁写的
太阳系有几颗行星
天空为什么是蓝色的
一九六九年发生了什么
光合作用是怎么回事
火星上有生命吗
恐龙是什么时候灭绝的
这个成语是什么意思
帮我把这句话翻译成英文
这个字怎么读
十七乘以二十三等于多少
帮我解这道方程
写一首关于大海的诗
写一段排序的代码
帮我做历史作业
帮我总结一下这篇文章
最好看的电影是哪部
推荐一本好书
失恋了怎么办
我昨晚做了个奇怪的梦
我哥下个月结婚
给小狗取个什么名字好
面包怎么烤
番茄炒蛋怎么做
鸡蛋要煮多久
过期的牛奶还能喝吗
喝咖啡对心脏不好吗
怎么减肥最快
坐久了腰疼
成年人要睡几个小时
怎么教孩子骑自行车
明天天气怎么样
周末会下雪吗
东京现在几点
定一个七点的闹钟
提醒我给妈妈打电话
把厨房的灯关掉
放点爵士乐
去海边有多远
最近的加油站在哪
下一班火车几点开
上班路上堵车吗
帮我订一张去昆明的机票
找一家带泳池的酒店
周一有博物馆开门吗
轮胎爆了怎么换
我的车有奇怪的响声
水槽堵了怎么通
什么植物不需要很多光
红酒洒在地毯上怎么洗
股票是怎么回事
现在该买比特币吗
法国总统是谁
怎么投票
怎么办护照
象棋的规则是什么
怎么学吉他
谁是最好的足球运动员
比赛在哪个台播
最后一关怎么打
网上现在什么最火
怎么设一个好密码
我的电脑为什么这么慢
怎么截图
什么是人工智能
宇宙有多大年纪
有没有外星人
人生的意义是什么
讲一个关于龙的故事
你来扮演一个海盗
抛个硬币
从一到十选一个数
今天星期几
你在吗
我们可以做朋友吗
夸夸我妹妹
我刚考完试
你看今天的晚霞
猜猜我在哪
"""

BACKGROUND: tuple[str, ...] = tuple(line for block in (_ENGLISH, _CHINESE) for line in block.strip().splitlines())
