"""Pictures for the shipped dialogues: a street, a beach, a platform and other places outside."""

from __future__ import annotations

import math
import random

from picture_canvas import Canvas, Colour, Point, turned


def bicycle() -> Canvas:
    """A red bicycle with a basket against a brick wall, beside a green door."""
    canvas = Canvas("#c98a63")
    for row in range(15):
        for column in range(-1, 12):
            canvas.box(column * 60 + row % 2 * 30, row * 26, 56, 22, "#b5673f" if (row + column) % 3 else "#a85a35")
    canvas.box(0, 388, 640, 92, "#9a9a98")
    canvas.box(0, 388, 640, 8, "#7d7d7b")
    canvas.box(492, 120, 128, 268, "#e9e4d8")
    canvas.box(504, 132, 104, 256, "#2f6b4a")
    canvas.box(518, 148, 76, 90, "#3c7f5a")
    canvas.box(518, 256, 76, 112, "#3c7f5a")
    canvas.oval(594, 262, 6, 6, "#e6c14a")
    rear, front = (135.0, 332.0), (365.0, 332.0)
    for x, y in (rear, front):
        for spoke in range(12):
            canvas.line([(x, y), turned(x, y, 76, spoke * 30)], "#d6d6d6", 1.2)
        canvas.ring(x, y, 82, "#1d1d1f", 8)
        canvas.ring(x, y, 75, "#bfbfbf", 2.5)
        canvas.oval(x, y, 7, 7, "#333333")
    pedal, saddle, head = (228.0, 338.0), (196.0, 222.0), (330.0, 212.0)
    red = "#d81e2c"
    for points in ([rear, pedal, saddle, rear], [pedal, (334.0, 228.0), (203.0, 240.0)], [(328.0, 206.0), front]):
        canvas.line(points, red, 9)
    canvas.line([saddle, (190, 196)], "#555555", 7)
    canvas.box(160, 184, 58, 14, "#2a1a12", 7)
    canvas.line([head, (324, 180), (288, 172)], "#555555", 7)
    canvas.line([(300, 174), (280, 172)], "#1d1d1f", 10)
    canvas.ring(*pedal, 20, "#444444", 5)
    canvas.line([pedal, (250, 372)], "#444444", 6)
    canvas.box(238, 368, 28, 8, "#1d1d1f", 3)
    canvas.shape([(346, 186), (430, 186), (418, 248), (356, 248)], "#c79a55")
    for step in range(1, 5):
        canvas.line([(347 + step * 2, 186 + step * 12.4), (429 - step * 2, 186 + step * 12.4)], "#8d6a35", 2)
    for step in range(1, 6):
        canvas.line([(346 + step * 14, 186), (356 + step * 10.3, 248)], "#8d6a35", 2)
    return canvas


def street() -> Canvas:
    """A crossing with a red light, a yellow bus and a person under a purple umbrella, in the rain."""
    canvas = Canvas("#aebccb")
    for x, width, height, colour in ((0, 130, 210, "#8c7f86"), (130, 110, 160, "#a08d7b"), (240, 150, 230, "#75808f")):
        canvas.box(x, 280 - height, width, height, colour)
        for row in range(height // 45):
            for column in range(width // 36):
                canvas.box(x + 12 + column * 36, 280 - height + 14 + row * 45, 18, 26, "#dfe6ee")
    canvas.box(390, 100, 250, 180, "#8c7f86")
    canvas.box(0, 280, 640, 200, "#4d5157")
    canvas.box(0, 280, 640, 18, "#b9b7b2")
    for column in range(6):
        left = 196 + column * 44
        canvas.shape([(left, 340), (left + 24, 340), (left + 8, 480), (left - 28, 480)], "#eceae4")
    canvas.box(20, 180, 190, 120, "#f0b91f", 12)
    canvas.box(20, 262, 190, 10, "#2b2b2b")
    for column in range(4):
        canvas.box(34 + column * 40, 196, 34, 42, "#cfe8f5", 4)
    canvas.box(188, 196, 16, 80, "#cfe8f5", 3)
    canvas.oval(205, 284, 6, 6, "#fff6cf")
    for x in (62, 166):
        canvas.oval(x, 302, 22, 22, "#1b1b1b")
        canvas.oval(x, 302, 10, 10, "#9a9a9a")
    canvas.shape([(458, 326), (640, 326), (640, 480), (444, 480)], "#a3a09a")
    canvas.box(558, 150, 12, 260, "#33373b")
    canvas.box(532, 40, 64, 160, "#22262a", 14)
    for y, colour in ((70, "#ff2a2a"), (120, "#4a4320"), (170, "#1f4228")):
        canvas.oval(564, y, 20, 20, colour)
    _person_with_umbrella(canvas, 478, 402)
    chance = random.Random(3)
    for _ in range(70):
        x, y = chance.uniform(0, 640), chance.uniform(0, 460)
        canvas.line([(x, y), (x - 4, y + 15)], "#d9e4ee", 1.4)
    return canvas


def _person_with_umbrella(canvas: Canvas, x: float, ground: float) -> None:
    canvas.line([(x - 8, ground - 50), (x - 10, ground)], "#2c3550", 12)
    canvas.line([(x + 8, ground - 50), (x + 10, ground)], "#2c3550", 12)
    canvas.box(x - 22, ground - 122, 44, 80, "#c2452d", 14)
    canvas.oval(x, ground - 142, 17, 19, "#e3b08c")
    canvas.slice(x, ground - 146, 19, (180, 360), "#3a2a20")
    canvas.line([(x + 18, ground - 100), (x + 28, ground - 112), (x + 28, ground - 190)], "#555555", 4)
    canvas.slice(x + 26, ground - 164, 64, (180, 360), "#7a3fa0")
    for turn in range(1, 4):
        canvas.line([(x + 26, ground - 227), (x - 38 + turn * 32, ground - 164)], "#62308a", 2)


def beach() -> Canvas:
    """A beach with a red and white umbrella, a blue towel, a bucket, a crab and one sailing boat on the sea."""
    canvas = Canvas("#9fd8f2")
    canvas.oval(548, 74, 40, 40, "#ffe066")
    for x, y in ((120, 70), (150, 58), (184, 72)):
        canvas.oval(x, y, 34, 20, "#ffffff")
    canvas.box(0, 190, 640, 110, "#2f8fc4")
    canvas.line([(0, 240), (640, 240)], "#58aad6", 3)
    canvas.line([(0, 268), (640, 268)], "#58aad6", 3)
    canvas.box(0, 296, 640, 184, "#f2dca6")
    canvas.box(0, 292, 640, 10, "#ffffff")
    canvas.shape([(410, 206), (510, 206), (490, 232), (428, 232)], "#7a4a2a")
    canvas.line([(456, 206), (456, 104)], "#5a3a22", 4)
    canvas.shape([(462, 110), (462, 198), (512, 198)], "#ffffff")
    canvas.shape([(450, 122), (450, 198), (414, 198)], "#f4f0e6")
    canvas.shape([(246, 372), (410, 372), (450, 424), (270, 424)], "#2c62b5")
    for step in (0.25, 0.75):
        canvas.line([(246 + 24 * step, 372 + 52 * step), (410 + 40 * step, 372 + 52 * step)], "#ffffff", 4)
    canvas.line([(180, 200), (204, 424)], "#8a6a4a", 8)
    for piece in range(6):
        colour = "#d8303a" if piece % 2 == 0 else "#ffffff"
        canvas.slice(180, 262, 118, (180 + piece * 30, 210 + piece * 30), colour)
    canvas.shape([(62, 264), (298, 264), (298, 260), (62, 260)], "#b8242e")
    canvas.shape([(500, 362), (566, 362), (556, 424), (510, 424)], "#f0a020")
    canvas.oval(533, 362, 33, 8, "#c27d10")
    points = [
        (533 + 33 * math.cos(turn / 10 * math.pi), 362 - 36 * math.sin(turn / 10 * math.pi)) for turn in range(11)
    ]
    canvas.line(points, "#8a5a10", 4)
    for side in (-1, 1):
        for leg in (6, 12, 18):
            canvas.line([(110 + side * leg, 444), (110 + side * (leg + 16), 456)], "#b03a1a", 3)
        canvas.line([(110 + side * 22, 438), (110 + side * 38, 422)], "#b03a1a", 5)
        canvas.oval(110 + side * 40, 418, 9, 8, "#d2512a")
    canvas.oval(110, 442, 28, 17, "#d2512a")
    canvas.oval(101, 424, 4, 5, "#1b1b1b")
    canvas.oval(119, 424, 4, 5, "#1b1b1b")
    return canvas


def station() -> Canvas:
    """A platform with a clock that shows five past four, a sign 'Platform 3', a green train and a lone suitcase."""
    canvas = Canvas("#d5dde2")
    canvas.box(0, 0, 640, 46, "#5b646b")
    for x in range(0, 640, 64):
        canvas.box(x, 38, 8, 18, "#474f55")
    canvas.box(0, 170, 410, 180, "#2f7d54", 22)
    canvas.box(0, 170, 380, 180, "#2f7d54")
    canvas.box(0, 286, 409, 14, "#f1e6b8")
    for x in (16, 106, 196):
        canvas.box(x, 200, 70, 62, "#cfeaf6", 8)
    canvas.box(288, 196, 44, 150, "#276847", 6)
    canvas.box(295, 206, 30, 50, "#cfeaf6", 4)
    canvas.shape([(350, 198), (384, 198), (398, 258), (350, 258)], "#cfeaf6")
    canvas.oval(396, 318, 9, 9, "#fff2b0")
    for x in (60, 130, 300, 360):
        canvas.oval(x, 356, 18, 18, "#2a2d30")
    canvas.box(0, 370, 640, 110, "#a7a39b")
    canvas.box(0, 370, 640, 12, "#f0c93a")
    canvas.box(520, 46, 14, 336, "#4a5258")
    canvas.box(430, 232, 190, 50, "#1f3f7a", 6)
    canvas.text(525, 257, "Platform 3", 28, "#ffffff")
    canvas.oval(527, 138, 76, 76, "#33393d")
    canvas.oval(527, 138, 67, 67, "#ffffff")
    for hour in range(12):
        inner = 50 if hour % 3 == 0 else 56
        canvas.line([turned(527, 138, inner, hour * 30), turned(527, 138, 61, hour * 30)], "#222222", 4)
    canvas.line([(527, 138), turned(527, 138, 34, 122.5)], "#111111", 8)
    canvas.line([(527, 138), turned(527, 138, 52, 30)], "#111111", 5)
    canvas.oval(527, 138, 6, 6, "#111111")
    canvas.line([(216, 396), (216, 368), (246, 368), (246, 396)], "#4b2a18", 5)
    canvas.box(190, 392, 84, 60, "#8c4a28", 8)
    canvas.box(206, 392, 8, 60, "#5f301a")
    canvas.box(250, 392, 8, 60, "#5f301a")
    return canvas


def kite() -> Canvas:
    """Two children on a green hill flying a red kite; a dog sits beside them and a windmill stands far off."""
    canvas = Canvas("#a9dcf5")
    for x, y in ((90, 90), (124, 76), (158, 92)):
        canvas.oval(x, y, 36, 20, "#ffffff")
    canvas.oval(560, 470, 260, 130, "#8cc46a")
    canvas.shape([(540, 350), (572, 350), (566, 250), (546, 250)], "#f4efe4")
    canvas.shape([(542, 252), (570, 252), (556, 228)], "#9a4a32")
    for turn in (20, 110, 200, 290):
        canvas.line([(556, 256), turned(556, 256, 58, turn)], "#6b4a2c", 7)
    canvas.oval(230, 560, 480, 210, "#5ea848")
    string = [(262 + step * 8.2, 318 - step * 9 - 36 * math.sin(step * math.pi / 24)) for step in range(25)]
    canvas.line(string, "#ffffff", 2)
    x, y = 458.0, 92.0
    canvas.shape([(x, y - 62), (x + 46, y), (x, y + 62), (x - 46, y)], "#d8262f")
    canvas.line([(x, y - 62), (x, y + 62)], "#8f1219", 3)
    canvas.line([(x - 46, y), (x + 46, y)], "#8f1219", 3)
    tail = [(x + 12 * math.sin(step / 3), y + 62 + step * 4) for step in range(22)]
    canvas.line(tail, "#8f1219", 3)
    for step in (6, 12, 18):
        tx, ty = tail[step]
        canvas.shape([(tx - 12, ty - 7), (tx - 12, ty + 7), (tx, ty)], "#f2c230")
        canvas.shape([(tx + 12, ty - 7), (tx + 12, ty + 7), (tx, ty)], "#f2c230")
    _child(canvas, 232, "#2f6fc0", "#3a2a1c", (262, 318))
    _child(canvas, 160, "#e8b62c", "#b5762c", (186, 330))
    canvas.line([(82, 380), (62, 362)], "#7a4a26", 7)
    canvas.oval(96, 366, 20, 26, "#8a5630")
    canvas.oval(106, 330, 18, 16, "#8a5630")
    canvas.oval(122, 336, 10, 7, "#8a5630")
    canvas.oval(94, 334, 6, 13, "#5c3518")
    canvas.oval(108, 326, 2.5, 2.5, "#111111")
    canvas.oval(131, 333, 3, 3, "#111111")
    canvas.line([(106, 374), (108, 392)], "#8a5630", 8)
    return canvas


def _child(canvas: Canvas, x: float, jumper: Colour, hair: Colour, hand: Point) -> None:
    for leg in (-8, 8):
        canvas.line([(x + leg, 362), (x + leg, 398)], "#3b4660", 10)
    canvas.box(x - 18, 306, 36, 62, jumper, 12)
    canvas.line([(x + 10, 322), hand], jumper, 9)
    canvas.line([(x - 14, 322), (x - 22, 352)], jumper, 9)
    canvas.oval(x, 286, 19, 20, "#eec09c")
    canvas.slice(x, 282, 21, (180, 360), hair)
