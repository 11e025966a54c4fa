"""Messages with their moods, in English and Chinese, from which moods are told by likeness. Written by the project.

A third are questions and answers of everyday service that are about something bad and yet say it calmly.
"""

from __future__ import annotations

_ENGLISH = """
-1.0 this is outrageous, I have never been treated like this
-1.0 you have ruined my birthday
-1.0 I hate your company and everything about it
-1.0 shut up, you stupid machine
-1.0 what a disgrace
-0.9 I am absolutely livid
-0.9 you are wasting my time
-0.9 horrible, awful, just awful
-0.9 I will never order from you again
-0.9 do you even read what I write
-0.8 I have been waiting for a month, this is a scandal
-0.8 nobody replies to my emails, it's a disgrace
-0.8 this is the fifth time I have had to ask
-0.8 give me my money back right now
-0.8 how is it possible that this still isn't solved
-0.8 it broke on the first day, total rubbish
-0.7 I'm extremely unhappy with the way this was handled
-0.7 why is nobody helping me
-0.7 your courier threw the parcel over the fence and everything is smashed
-0.7 every time I call I get a different answer
-0.7 the picture looked nice but the real thing is ugly and cheap
-0.7 I'm losing my patience
-0.7 it's late again, as always
-0.6 it still doesn't work and I've tried everything
-0.6 I paid for express and it took nine days
-0.6 I regret buying this
-0.6 this is really annoying
-0.6 nothing you told me was true
-0.6 the sofa is uncomfortable and smells bad
-0.5 this isn't what was promised
-0.5 I had hoped for something better
-0.5 I feel let down
-0.5 I'm sad, my dog is ill
-0.5 I had a terrible day at work
-0.5 I'm scared that I will lose my job
-0.4 it's taking longer than I thought and I'm getting nervous
-0.4 the instructions are confusing
0 how do I send something back
0 where can I see the status of my parcel
0 what do I do when an item is missing
0 can I exchange a damaged plate
0 is it possible to get a refund after thirty days
0 I would like to cancel the order from yesterday
0 how do I file a complaint
0 how can I report a problem with the website
0 what does it cost if a payment is late
0 what is covered when the screen breaks
0 which number do I call if my card was stolen
0 where do I find the serial number
0 do you deliver to the islands
0 does it come with a cable
0 how long is the warranty
0 please change the address to the one in my profile
0 I ordered two chairs and a table
0 my name is Peter and the order is from March
0 it is the grey one with wooden legs
0 the second option please
0 next Friday in the morning
0 no that's all
0 yes please
0 ok
0 I will look it up
0 what is the difference between wool and cotton
0 can you send me the receipt again
0 how do I turn it off
0 is there a shop in Leeds
0 who is the manufacturer
0 how do I get rid of limescale
0 what should I do with an old broken fridge
0 my neighbour took the parcel
0 the box weighs about five kilos
0 I'm calling about an invoice
0 tell me about wars in the nineteenth century
0.4 ok thanks for letting me know
0.4 fine by me, thanks
0.5 thank you for the quick answer
0.5 good to know
0.5 sounds good
0.5 it was easier than I thought
0.6 thanks, you solved it
0.6 it looks great in the living room
0.6 I'm glad I asked
0.6 that was kind of you
0.7 I'm very satisfied
0.7 we are delighted with the new lamp
0.7 it's lovely and so well made
0.7 this is just what I needed
0.8 superb quality and fast delivery
0.8 you're a star
0.8 I love it
0.9 this is the best thing I ever bought
0.9 I'm over the moon
1.0 incredible, wonderful, thank you so very much
0.6 hooray, it works again
0.6 I had such a good day
0.5 looking forward to it
0.5 that made me laugh
-1.0 I could scream
-1.0 you should be ashamed of yourselves
-1.0 my lawyer will be in touch with you
-0.9 are you deaf or what
-0.9 it is beyond me how anybody can work this badly
-0.9 what kind of idiots run this place
-0.8 enough is enough, I'm leaving
-0.8 I'm not going to beg for my own money
-0.8 so you charge me extra for your own error
-0.8 you keep apologising and nothing ever happens
-0.8 what do I have to do to get an answer here
-0.7 I've been passed around between departments all day
-0.7 again I took a day off work for nothing because your driver never showed up
-0.7 you said it would be here by Tuesday and guess what, it isn't
-0.7 copy and paste replies, that's all I get
-0.7 my whole holiday was spoiled by this
-0.7 the paint is flaking, the door hangs crooked, I won't accept this
-0.7 don't you dare charge me again
-0.6 I'm starting to doubt that you want to help
-0.6 two stars would be generous
-0.6 had I known that, I would have gone elsewhere
-0.6 it fell to pieces when I touched it
-0.6 completely different from the description
-0.6 oh brilliant, now it won't even start
-0.6 yeah right, as if that would change anything
-0.6 you made it even worse than before
-0.6 that noise drives me crazy
-0.6 we froze all weekend because the heater died
-0.5 I can't rely on you
-0.5 wrong again
-0.5 nope, same error as before
-0.5 we had been so looking forward to it and now this
-0.5 everything goes wrong today
-0.5 I'm tired and I don't feel like doing anything
-0.5 my best friend moved away and I cry a lot
-0.5 my father is in hospital
-0.4 it's okay I guess, nothing special
-0.4 meh
-0.3 a bit disappointing to be honest
0 it says shipped but the page hasn't changed since Monday, how do I track it
0 what is the fine for returning a book late
0 how do I get compensation for a cancelled train
0 there is no sound on the right side, which cable do I check
0 a screw is missing, can I order one
0 can I return something that I have opened
0 does my voucher expire
0 I have a question about my contract
0 how do I remove an old card from my account
0 is the inexpensive one made of wood
0 how do I kill weeds without poison
0 the other one please, not this one
0 what happens to my data when I leave
0 can I talk to a human
0 who died in the first world war
0 it has to go to a different floor
0 I'm at home after four
0 it was a present from my aunt
0 we are a family of five with a dog
0 my code does not have enough digits it says
0 I mean the small one
0 how do I fix a squeaky door
0 the parcel is in Bristol according to the website
0.5 it worked, great
0.5 how nice of you
0.5 today is a good day
0.6 you spared me a lot of work
0.6 fits perfectly
0.6 thank goodness, I was so relieved
0.6 I appreciate that you took the time
0.7 it's even nicer than I imagined
0.7 the children are jumping up and down with excitement
0.7 that went smoothly, well done
0.8 the kindest person I ever spoke to on a helpline
0.8 it came a day early and beautifully packed
0.9 I'm so thrilled I could dance
0.5 ha, good one
"""

_CHINESE = """
-1.0 太过分了，从来没被这样对待过
-1.0 我的生日全被你们毁了
-1.0 你们这家店真恶心
-1.0 闭嘴，你这个蠢机器
-1.0 简直是耻辱
-0.9 我快气炸了
-0.9 你们在浪费我的时间
-0.9 糟透了，烂透了
-0.9 以后再也不会在你们家下单
-0.9 你到底有没有看我写的话
-0.8 等了一个月了，太离谱了
-0.8 发邮件没人回，真丢人
-0.8 这已经是我第五次来问了
-0.8 马上把钱退给我
-0.8 怎么到现在还没解决
-0.8 第一天就坏了，纯属垃圾
-0.7 对你们的处理方式非常不满
-0.7 为什么没有人帮我
-0.7 快递把包裹乱扔，东西全摔碎了
-0.7 每次打电话说法都不一样
-0.7 图片好看，实物又丑又廉价
-0.7 我快没耐心了
-0.7 又晚了，总是这样
-0.6 还是不能用，什么办法都试过了
-0.6 付了加急的钱，结果等了九天
-0.6 后悔买了
-0.6 真的很烦人
-0.6 你说的没一句是真的
-0.6 沙发坐着难受还有怪味
-0.5 跟说好的不一样
-0.5 本来以为会更好
-0.5 挺失落的
-0.5 狗狗生病了，我很伤心
-0.5 今天上班糟心死了
-0.5 我怕丢了工作
-0.4 比想的要久，有点着急
-0.4 说明书看不懂，乱七八糟
0 怎么把东西寄回去
0 在哪里可以看到包裹的状态
0 少了一件东西应该怎么处理
0 盘子有破损可以换吗
0 过了三十天还能退款吗
0 我想取消昨天的订单
0 怎么提交投诉
0 网站有问题要怎么反馈
0 付款晚了要多少钱
0 屏幕碎了保不保修
0 卡被偷了要打哪个电话
0 序列号在哪里看
0 海岛送不送货
0 带数据线吗
0 保修期多长
0 请把地址改成我资料里的那个
0 我订了两把椅子和一张桌子
0 我姓王，是三月份的订单
0 是灰色木腿的那个
0 选第二个
0 下周五上午
0 没有了，就这些
0 是的
0 好
0 我去查一下
0 羊毛和棉有什么区别
0 能再发一次收据吗
0 怎么关机
0 苏州有门店吗
0 厂家是谁
0 怎么除水垢
0 旧的坏冰箱怎么处理
0 包裹是邻居签收的
0 箱子大概五公斤
0 我打电话是想问一张发票
0 讲讲十九世纪的战争
0.4 好的，谢谢告知
0.4 没意见，谢谢
0.5 谢谢你回复得这么快
0.5 知道了，挺好
0.5 听起来不错
0.5 比我想的简单
0.6 谢谢，解决了
0.6 放在客厅里很漂亮
0.6 幸好问了你
0.6 你人真好
0.7 非常满意
0.7 新灯我们都爱死了
0.7 很精致，做工特别好
0.7 正是我需要的
0.8 质量一流，送货又快
0.8 你太给力了
0.8 我爱了
0.9 买过的最好的东西
0.9 开心得要飞起来
1.0 太赞了，太完美了，万分感谢
0.6 好耶，又能用了
0.6 今天过得真开心
0.5 很期待
0.5 把我逗笑了
-1.0 我真想砸了它
-1.0 你们应该感到羞耻
-1.0 等着收律师函吧
-0.9 你是聋了还是怎么的
-0.9 真不知道你们怎么能做得这么差
-0.9 一帮废物
-0.8 够了，我不跟你们玩了
-0.8 要回自己的钱还得求你们
-0.8 你们的错凭什么要我掏钱
-0.8 光道歉，什么事都不办
-0.8 我要怎么做你们才肯回答
-0.7 一整天被转来转去，没一个人负责
-0.7 又请了一天假，结果送货的根本没来
-0.7 说星期二到，结果呢，影子都没有
-0.7 就会复制粘贴敷衍我
-0.7 整个假期都被这事搅黄了
-0.7 门是歪的，漆都起皮了，我不收
-0.7 别想再扣我一分钱
-0.6 我开始怀疑你们根本不想帮忙
-0.6 给两颗星都嫌多
-0.6 要是早知道这样我就去别家了
-0.6 一碰就散架了
-0.6 和描述完全不符
-0.6 好极了，现在连开机都开不了
-0.6 你就编吧
-0.6 越弄越糟
-0.6 那个声音快把我逼疯了
-0.6 暖气坏了，我们冻了一个周末
-0.5 你们靠不住
-0.5 还是错的
-0.5 不行，跟刚才一样报错
-0.5 盼了那么久，结果是这样
-0.5 今天倒霉透了
-0.5 好累，什么都不想做
-0.5 最好的朋友搬走了，我老是想哭
-0.5 我爸住院了
-0.4 就那样吧，没什么特别的
-0.4 凑合
-0.3 说实话有点失望
0 显示已发货但是从星期一就没更新，怎么查
0 书还晚了罚多少
0 航班取消怎么申请补偿
0 右边没有声音，要检查哪根线
0 少一个螺丝可以单买吗
0 打开过的还能退吗
0 优惠券会过期吗
0 我想问一下合同的事
0 怎么删掉账户里的旧卡
0 便宜的那个是木头的吗
0 不用农药怎么除草
0 要另外一个，不是这个
0 注销以后我的资料怎么办
0 可以找真人客服吗
0 第一次世界大战死了多少人
0 要送到另外一层楼
0 我四点以后在家
0 是姑姑送的礼物
0 我们一家五口还有一条狗
0 它说验证码位数不够
0 我是说小的那个
0 门吱吱响怎么修
0 网站上说包裹在武汉
0.5 行了，可以了
0.5 你想得真周到
0.5 今天是个好日子
0.6 省了我好多事
0.6 尺寸正合适
0.6 谢天谢地，总算踏实了
0.6 感谢你花时间
0.7 比我想象的还漂亮
0.7 孩子们乐得又蹦又跳
0.7 办得很顺利，干得好
0.8 接过我电话的人里你最热心
0.8 提前一天到，包得特别仔细
0.9 激动得想跳舞
0.5 哈，有意思
"""


def examples() -> tuple[tuple[str, float], ...]:
    """Messages and their valence in [-1, 1]."""
    lines = [line for block in (_ENGLISH, _CHINESE) for line in block.strip().splitlines()]
    return tuple((text, float(value)) for value, _, text in (line.partition(" ") for line in lines))
