"""Pictures for the shipped dialogues: things on a table, in a room or on paper."""

from __future__ import annotations

import math
import random

from picture_canvas import Canvas, turned


def apples() -> Canvas:
    """A table with two red apples, a green one and a blue mug that steams."""
    canvas = Canvas("#f3ead7")
    canvas.box(60, 30, 190, 170, "#ffffff")
    canvas.box(70, 40, 80, 150, "#bfe3f5")
    canvas.box(160, 40, 80, 150, "#bfe3f5")
    canvas.box(0, 290, 640, 190, "#a9713f")
    for y in (330, 378, 430):
        canvas.line([(0, y), (640, y)], "#986337", 3)
    canvas.box(0, 284, 640, 12, "#c08a54")
    for x, y, colour, shine in (
        (130.0, 318.0, "#d4202f", "#f2808a"),
        (325.0, 330.0, "#7cb83a", "#bfe08d"),
        (228.0, 352.0, "#d4202f", "#f2808a"),
    ):
        canvas.oval(x + 6, y + 46, 58, 12, "#8a5a30")
        canvas.oval(x - 20, y, 36, 48, colour)
        canvas.oval(x + 20, y, 36, 48, colour)
        canvas.oval(x, y - 40, 13, 6, "#6b2a1a" if colour == "#d4202f" else "#4c7a22")
        canvas.line([(x, y - 40), (x + 5, y - 66)], "#5a3a1c", 5)
        canvas.shape([(x + 5, y - 56), (x + 22, y - 70), (x + 38, y - 62), (x + 22, y - 52)], "#3f8f3a")
        canvas.oval(x - 28, y - 16, 8, 13, shine)
    canvas.oval(500, 398, 82, 14, "#8a5a30")
    canvas.ring(570, 318, 38, "#2a63b8", 14)
    canvas.box(430, 250, 130, 148, "#2a63b8", 14)
    canvas.oval(495, 254, 65, 15, "#1d4788")
    canvas.oval(495, 256, 56, 10, "#4a2a16")
    for x in (470, 495, 520):
        points = [(x + 7 * math.sin(step / 3), 232 - step * 4.4) for step in range(20)]
        canvas.line(points, "#ffffff", 5)
    return canvas


def chart() -> Canvas:
    """Bars of a museum's visitors from January to May: 120, 90, 150, 210, 180."""
    canvas = Canvas("#ffffff")
    canvas.text(320, 36, "Museum visitors per month", 28, "#222222")
    base, per_visitor = 410.0, 1.4
    for value in (50, 100, 150, 200):
        y = base - value * per_visitor
        canvas.line([(90, y), (600, y)], "#dddddd", 1.5)
        canvas.text(62, y, str(value), 20, "#555555")
    canvas.text(62, base, "0", 20, "#555555")
    for index, (month, value) in enumerate((("Jan", 120), ("Feb", 90), ("Mar", 150), ("Apr", 210), ("May", 180))):
        left = 112.0 + index * 98
        height = value * per_visitor
        canvas.box(left, base - height, 66, height, "#e07b2a" if value == 210 else "#3f78b5")
        canvas.text(left + 33, base - height - 16, str(value), 21, "#222222")
        canvas.text(left + 33, base + 26, month, 22, "#222222")
    canvas.line([(90, 90), (90, base), (604, base)], "#333333", 3)
    return canvas


def note() -> Canvas:
    """A yellow note on a cork board: a shopping list in handwriting, with the bread crossed out."""
    canvas = Canvas("#b98b57")
    chance = random.Random(11)
    for _ in range(500):
        x, y = chance.uniform(0, 640), chance.uniform(0, 480)
        canvas.oval(x, y, 3, 2, chance.choice(["#a87a48", "#c79b68"]))
    canvas.shape([(132, 46), (520, 34), (532, 452), (120, 446)], "#8f6a3e")
    canvas.shape([(124, 38), (512, 28), (524, 444), (112, 438)], "#fff2a8")
    for index, words in enumerate(("Shopping", "milk", "6 eggs", "bread", "2 lemons", "Call Mum at 7!")):
        canvas.handwriting(150, 96 + index * 60, words, 44 if index == 0 else 36, chance)
    canvas.line([(148, 122), (250, 119), (352, 124)], "#1f3a8a", 4)
    canvas.line([(144, 280), (200, 274), (262, 276)], "#1f3a8a", 5)
    canvas.oval(320, 40, 16, 16, "#c62828")
    canvas.oval(315, 35, 5, 5, "#f08a8a")
    return canvas


def cat() -> Canvas:
    """An orange cat asleep on a blue sofa with a yellow cushion, under a framed picture of mountains."""
    canvas = Canvas("#efe3d0")
    canvas.box(0, 400, 640, 80, "#b08a62")
    canvas.box(230, 26, 180, 112, "#5b3d22")
    canvas.box(240, 36, 160, 92, "#cfe7f2")
    canvas.shape([(250, 128), (300, 62), (350, 128)], "#7d8a96")
    canvas.shape([(310, 128), (352, 80), (394, 128)], "#66737f")
    canvas.shape([(288, 78), (300, 62), (312, 78)], "#ffffff")
    for x in (90, 530):
        canvas.box(x, 404, 22, 34, "#4a3320")
    canvas.box(70, 170, 500, 200, "#2f5f95", 36)
    canvas.box(60, 310, 520, 100, "#27527f", 18)
    canvas.box(108, 296, 212, 66, "#3a70ab", 16)
    canvas.box(320, 296, 212, 66, "#3a70ab", 16)
    canvas.box(40, 236, 76, 178, "#356aa3", 30)
    canvas.box(524, 236, 76, 178, "#356aa3", 30)
    canvas.shape([(440, 208), (528, 222), (514, 308), (428, 292)], "#f2c230")
    canvas.oval(478, 258, 7, 7, "#c4961a")
    tail = [(372 + 46 * math.sin(turn / 9), 282 + 24 * (1 - math.cos(turn / 9))) for turn in range(16)]
    canvas.line(tail, "#d9772a", 20)
    canvas.oval(300, 268, 96, 48, "#e8893a")
    canvas.line([(250, 308), (200, 314)], "#e8893a", 20)
    canvas.line([(330, 312), (376, 316)], "#e8893a", 22)
    for x in (290, 322, 352):
        canvas.line([(x, 228), (x + 6, 254)], "#b9601c", 8)
    canvas.shape([(172, 240), (174, 194), (206, 218)], "#e8893a")
    canvas.shape([(252, 240), (252, 194), (218, 218)], "#e8893a")
    canvas.shape([(179, 230), (179, 206), (196, 220)], "#f4b9a0")
    canvas.shape([(246, 230), (246, 206), (230, 220)], "#f4b9a0")
    canvas.oval(212, 256, 48, 42, "#ee9347")
    canvas.oval(212, 272, 24, 18, "#fbe3cd")
    for x in (190, 234):
        canvas.line([(x - 10, 252), (x - 4, 257), (x + 4, 257), (x + 10, 252)], "#4a2a14", 3.5)
    canvas.shape([(205, 263), (219, 263), (212, 271)], "#d86a6a")
    for side in (-1, 1):
        for drop in (-3, 3, 9):
            canvas.line([(212 + side * 20, 272 + drop / 2), (212 + side * 62, 270 + drop * 1.6)], "#fff6ea", 1.5)
    return canvas


def bookshelf() -> Canvas:
    """Three shelves of books with a globe, a plant in a white pot and a small alarm clock."""
    canvas = Canvas("#e7ddcf")
    canvas.box(60, 20, 520, 440, "#7a4f2c")
    for top in (36, 178, 320):
        canvas.box(76, top, 488, 124, "#54341b")
    chance = random.Random(5)
    colours = ["#b8322f", "#2f6fa8", "#3e8a52", "#e0b23a", "#7d4a94", "#d9d2c2", "#d4763b"]
    for floor, start, end in ((160, 86, 420), (302, 214, 554), (444, 86, 470)):
        x = float(start)
        while x < end - 30:
            width, height = chance.uniform(18, 34), chance.uniform(84, 112)
            colour = chance.choice(colours)
            canvas.box(x, floor - height, width - 2, height, colour, 2)
            canvas.box(x + 3, floor - height + 14, width - 8, 5, "#f3ead2")
            canvas.box(x + 3, floor - 20, width - 8, 4, "#f3ead2")
            x += width
    canvas.box(468, 150, 56, 10, "#caa24a", 4)
    canvas.line([(496, 150), (496, 138)], "#caa24a", 7)
    canvas.ring(496, 98, 48, "#caa24a", 4)
    canvas.oval(496, 98, 42, 42, "#3d8fc9")
    canvas.shape([(470, 80), (486, 66), (502, 72), (496, 92), (484, 106), (474, 98)], "#58a54c")
    canvas.shape([(506, 96), (524, 88), (530, 104), (516, 124), (506, 114)], "#58a54c")
    for x, y in ((112, 206), (132, 194), (152, 192), (172, 202), (184, 220)):
        canvas.line([(148, 256), (x, y + 8)], "#2f7d3a", 4)
        canvas.oval(x, y + 6, 15, 11, "#3f9a4a")
    canvas.shape([(116, 254), (180, 254), (172, 302), (124, 302)], "#f4f2ec")
    canvas.box(112, 248, 72, 12, "#ffffff", 3)
    canvas.oval(490, 386, 16, 12, "#c23b33")
    canvas.oval(538, 386, 16, 12, "#c23b33")
    canvas.line([(496, 430), (488, 442)], "#8a2520", 6)
    canvas.line([(532, 430), (540, 442)], "#8a2520", 6)
    canvas.oval(514, 410, 36, 34, "#c23b33")
    canvas.oval(514, 410, 28, 26, "#ffffff")
    canvas.line([(514, 394), (514, 410), (526, 416)], "#222222", 4)
    return canvas


def soup() -> Canvas:
    """A white bowl of orange soup with parsley on a checked cloth, a spoon on its right, two slices of bread."""
    canvas = Canvas("#f7f7f4")
    for row in range(6):
        for column in range(8):
            if (row + column) % 2:
                canvas.box(column * 80, row * 80, 80, 80, "#bcd3ea")
    canvas.oval(300, 262, 206, 158, "#c9ccd0")
    canvas.oval(300, 254, 204, 156, "#ffffff")
    canvas.oval(300, 252, 164, 122, "#e3e5e8")
    canvas.oval(300, 256, 156, 112, "#ee8a2c")
    canvas.oval(280, 244, 110, 66, "#f39a44")
    swirl = [
        (300 + (12 + turn) * math.cos(turn / 8), 258 + (8 + turn * 0.6) * math.sin(turn / 8)) for turn in range(70)
    ]
    canvas.line(swirl, "#fff3dc", 6)
    for x, y in ((246, 220), (350, 216), (300, 300), (222, 284), (378, 284)):
        for turn in (0, 120, 240):
            canvas.oval(*turned(x, y, 7, turn), 7, 7, "#3c8a3a")
    canvas.line([(566, 214), (566, 420)], "#9aa3ab", 12)
    canvas.oval(566, 172, 30, 46, "#9aa3ab")
    canvas.oval(566, 168, 22, 36, "#c7ced4")
    for x, y in ((64, 74), (132, 56)):
        canvas.box(x - 44, y - 18, 96, 74, "#a86a2e", 14)
        canvas.oval(x - 20, y - 14, 30, 22, "#a86a2e")
        canvas.oval(x + 26, y - 14, 30, 22, "#a86a2e")
        canvas.box(x - 36, y - 12, 80, 60, "#f0d7a4", 12)
        canvas.oval(x - 16, y - 10, 22, 16, "#f0d7a4")
        canvas.oval(x + 24, y - 10, 22, 16, "#f0d7a4")
    return canvas


def noodles() -> Canvas:
    """A blue bowl of noodle soup with two halves of an egg and spring onion, chopsticks resting across it."""
    canvas = Canvas("#7d4f2d")
    for y in (80, 170, 260, 350, 440):
        canvas.line([(0, y), (640, y)], "#6c4225", 3)
    canvas.oval(310, 266, 214, 188, "#4e2f19")
    canvas.oval(310, 256, 212, 186, "#23508f")
    canvas.oval(310, 254, 190, 166, "#e9eef3")
    canvas.oval(310, 256, 176, 152, "#b5692b")
    chance = random.Random(8)
    for strand in range(21):
        y = 162 + strand * 9
        half = 160 * math.sqrt(max(0.0, 1 - ((y - 256) / 140) ** 2))
        phase = chance.uniform(0, 6)
        points = [(310 + x, y + 6 * math.sin(x / 30 + phase)) for x in range(-round(half), round(half), 6)]
        canvas.line(points, "#f4d68a" if strand % 2 else "#e8c36a", 7)
    for x, y in ((256, 232), (330, 290)):
        canvas.oval(x, y, 46, 36, "#fffdf6")
        canvas.oval(x + 3, y + 1, 24, 20, "#f5a623")
    for _ in range(26):
        x, y = 310 + chance.uniform(-120, 120), 256 + chance.uniform(-110, 110)
        canvas.ring(x, y, 6, "#3f9a3f", 3.5)
    canvas.line([(392, 60), (616, 372)], "#b5432c", 10)
    canvas.line([(424, 50), (632, 344)], "#b5432c", 10)
    return canvas
