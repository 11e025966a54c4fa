"""The words that `see` may use: everyday names, each with the finer names that stand behind it.

The classes are those of ImageNet-1k in its usual order, whose names OpenCLIP ships. A photo of a beagle is
"dog" to the person who took it: `EVERYDAY` says which classes one word covers; every other class is its own
word. `IMPLIED` names what a picture probably also holds: ImageNet has no class for people, yet hats, jackets and
rackets are mostly photographed on them. `WORDS_ALONE` adds what no class covers (COCO's other objects, people,
places); those are found through the text encoder only. Tables and wording are this project's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

WordKind = Literal["thing", "person", "place", "family", "doing", "ground"]

EVERYDAY = """
fish: 0-1 389-397 | shark: 2-4 | ray: 5-6 | chicken: 7-8 | bird: 9-24 80-96 127-146 | duck: 97-98 | goose: 99
swan: 100 | salamander: 25-29 | frog: 30-32 | turtle: 33-37 | lizard: 38-48 | crocodile: 49-50 | dinosaur: 51
snake: 52-68 | fossil: 69 | spider: 70 72-77 | scorpion: 71 | insect: 78-79 300-320 | elephant: 101 385-386
kangaroo: 104 | sea creature: 107-111 115-117 327-329 | snail: 112-114 | crab: 118-121 125 | lobster: 122-124
whale: 147-149 | seal: 150 | dog: 151-268 | wolf: 269-275 | hyena: 276 | fox: 277-280 | cat: 281-285
wild cat: 286-290 | lion: 291 | tiger: 292 | cheetah: 293 | bear: 294-297 | butterfly: 321-326 | rabbit: 330-332
hamster: 333 338 | squirrel: 335 | horse: 339 | zebra: 340 | pig: 341-343 | hippopotamus: 344 | cow: 345-347
sheep: 348-349 | goat: 350 | antelope: 351-353 | camel: 354 | weasel: 356-360 | monkey: 365-382 | lemur: 383-384
panda: 387-388
airplane: 404 895 908 | airship: 405 | ship: 403 510 628 | boat: 449 472 484 554 576 625 724 780 814 871 913 914
ambulance: 407 | bus: 654 779 874 | car: 436 468 479 511 581 609 627 656 661 751 817 | car mirror: 475
truck: 555 569 675 717 864 867 | van: 734 | camper: 757 660 | train: 466 547 565 705 820 829
motorcycle: 665 670 | bicycle: 444 671 870 880 | wagon: 603 612 690 | tractor: 595 730 856 866
tank: 586 847 | snowplow: 803 | golf cart: 573 575 | rocket: 657 744 812
traffic light: 920 | street sign: 919 | parking meter: 704 | mailbox: 637 | bench: 703 | pole: 557 733
clock: 409 530 604 826 892 835 | watch: 531 | cell phone: 487 | telephone: 528 707 | computer: 527 590
keyboard: 508 810 | mouse: 673 | laptop: 620 681 | monitor: 664 782 | tv: 548 598 851 | remote control: 761
printer: 713 742 | speaker: 632 | music player: 482 485 605 848 | camera: 622 732 759 | projector: 745
desk: 526 | chair: 423 559 765 857 | couch: 831 | dining table: 532 | bed: 520 564 516 431 | pillow: 721 | blanket: 750
cabinet: 493 495 553 648 894 | bookcase: 453 454 | lamp: 619 846 | curtain: 794 854 904 905 | rug: 539 741
toilet: 861 | toilet paper: 999 700 | bathtub: 435 876 | sink: 896 | towel: 434 | washing machine: 897
oven: 544 766 827 | microwave: 651 | toaster: 859 | refrigerator: 760 | dishwasher: 534 | coffee maker: 505 550
waffle iron: 891 | bottle: 440 720 737 898 907 | cup: 504 647 968 967 | glass: 441 572 966 | pitcher: 725 899 901
bowl: 659 809 | plate: 923 | pan: 567 909 469 | knife: 499 623 | spoon: 618 910 | spatula: 813 | tray: 868
teapot: 849 | salt shaker: 773 | vase: 883 | potted plant: 738 | bucket: 463 756 427 | basket: 588 790 | candle: 470
backpack: 414 | bag: 636 728 | shopping cart: 791 | trash can: 412 | umbrella: 879 | chest: 492
box: 478 519 692 | book: 917 921
pen: 418 563 696 749 | handbag: 748 | wallet: 893 | glasses: 836-837 | tie: 451 457 906
hat: 439 452 515 808 433 667 793
helmet: 518 560 715 | jacket: 474 501 568 617 735 841 869 | shirt: 610 | dress: 399 578 601 614 689 775 | jeans: 608
swimsuit: 445 639 842 | skirt: 655 | suit: 834 | uniform: 465 652 | gown: 400 887 | shoe: 502 514 630 770 774
sock: 496 806 | glove: 658 | scarf: 552 824 | mask: 570 643 796 | necklace: 679 | wig: 903 | stroller: 428
baseball: 429 981 | scoreboard: 781 | basketball: 430 | soccer ball: 805 | tennis ball: 852
tennis racket: 752 | volleyball: 890
rugby ball: 768 | golf ball: 574 | ping-pong ball: 722 | skis: 795 | sled: 450 537 | parachute: 701
guitar: 402 546 | piano: 579 881 | violin: 486 889 | drum: 541 822 | trumpet: 432 513 558 566 683 776 875
gun: 413 763 764 | tent: 672 915 | balloon: 417 | teddy bear: 850 | toy: 865 | swing: 843 | crutch: 523
church: 406 663 497 | mosque: 668 | castle: 483 698 | tower: 437 442 900 682 | bridge: 821 839 888 | dam: 525
house: 425 853 858 | fence: 489 716 912 | wall: 825 | dock: 460 536 718 | fountain: 562 | statue: 649 708 832 863
greenhouse: 580 | store: 415 467 509 582 788 860 | restaurant: 762 | barber: 424 | stage: 819 818 | library: 624
stairs: 421 | patio: 706 | window: 799 | menu: 922 | crossword: 918 | website: 916
apple: 948 | orange: 950 | lemon: 951 | banana: 954 | strawberry: 949 | pineapple: 953 | fig: 952 | broccoli: 937
cauliflower: 938 | cabbage: 936 | cucumber: 943 939 | squash: 940-942 | pepper: 945
corn: 987 998 | mushroom: 947 991-997
pizza: 963 | sandwich: 933 965 | hot dog: 934 | bread: 930-932 961 | pasta: 959 | soup: 925 926 | potatoes: 935
meat: 962 | pie: 964 | dessert: 927 | ice cream: 928-929 | chocolate: 960 | guacamole: 924
mountain: 970 972 979 980 | water: 973 974 975 976 | beach: 977 978 | flower: 984-986 | hay: 958
wedding: 982 | scuba diver: 983 | hair dryer: 589 | scissors: 600
"""
"""word: classes. No class stands under two of these words."""

IMPLIED = """
person: 399-400 411 416 429-430 433 439 443 445 450-452 457 459 465 474 501 514-515 518 529 537 560 568 570 574 578
person: 601-602 608 610 614-615 617 638-639 643 652 655 658 667-668 678 689 693 697 702 722 735 747 752 768 770
person: 775 781 785 793 795-797 801-802 805-806 808 824 830 834 836-837 841-842 869 880 887 890 903 906 981-983
animal: 0-68 70-107 112-114 118-158 159-397
food: 924-969 987 998
fruit: 948-957
vehicle: 403-408 436 444 466-468 472 484 510-511 547 554-555 569 573 575-576 586 595 603 609 612 625 627-628 654 656
vehicle: 661 665 670-671 675 690 705 717 724 734 751 757 779-780 802-803 814 817 820 829 847 864 866-867 871 874 914
kitchen: 505 521 534 544 550 567 651 729 760 766 827-828 859 891 896 909
bathroom: 435 648 793-794 804 861 876 896 999
office: 508 526-527 553 620 664 673 681 713 742 782 810
bedroom: 431 516 520 564 721 750 846
living room: 548 598 619 831 846 851
street: 468 475 557 637 654 704 734 779 829 874 919-920
snow: 250 270 279 296 450 537 795-796 802-803
sea: 2-4 33-34 107-108 147-150 390 403 437 449 460 484 510 536 554 625 628 718 724 780 814 871 913-914 973 975-978
sport: 416 422 429-430 433 450 522 543 560 574 602 615 671 702 722 746-747 752 768 781 795 801 805 852 880 890 981
musical instrument: 401-402 420 432 486 494 513 541 546 558 566 577 579 593-594 641-642 683-684 687 699 776 822 875
musical instrument: 881 889
lake: 449 472 975
swimming pool: 433 445 639 842
playground: 843
sports field: 429 560 768 781 805 981
"""
"""word: the classes that speak for it. Lines of one word add up; a class may speak for several."""

DOINGS = """
playing baseball: 429 781 981
playing tennis: 752 852
playing basketball: 430
playing soccer: 805
playing football: 560 768
playing volleyball: 890
playing hockey: 615 746
playing golf: 573 574
playing table tennis: 722
playing pool: 736
skiing: 795
sledding: 450 537
swimming: 433 445 639 801 842 983
rowing: 472 576 693
sailing: 484 780 871 914
riding a bicycle: 444 671 870 880
riding a motorcycle: 518 665 670
riding a horse: 339 603
racing: 573 751
cooking: 544 567 659 827 909
eating: 415 532 762 868 923 925 933 934 959 963 965
playing the guitar: 402 420 546 714
playing music: 401 402 420 432 486 513 541 542 546 558 566 579 593 594 641 642 683 776 819 822 875 881 889
hiking: 414 970 979
climbing: 970 972
shopping: 415 509 582 790 791
using a computer: 508 527 620 664 673 681
getting married: 400 578 982
parachuting: 701
camping: 672 797
doing gymnastics: 416 602 702
lifting weights: 422 543
"""
"""What people do, said only of people: the classes of what they do it with."""

GROUNDS = ("grass",)
"""What the pixels tell better than any class: green below (`picture_looks`)."""

PEOPLE = ("man", "woman", "child", "baby", "crowd")
"""Words that speak for "person" where a text encoder knows them."""

WORDS_ALONE = (
    *PEOPLE,
    *("fire hydrant", "stop sign", "giraffe", "suitcase", "frisbee", "snowboard", "kite", "baseball bat"),
    *("baseball glove", "skateboard", "surfboard", "wine glass", "fork", "carrot", "donut", "cake", "toothbrush"),
    *("sky", "tree", "forest", "field", "river", "park", "garden", "city", "airport", "farm", "road"),
    *("classroom", "party", "sunset", "night", "rain", "painting", "map", "document"),
)

PROMPTS = ("a photo of a {}.", "{}")
"""A word is embedded in each and averaged."""
WORDS_KEY = "words"
"""Under which a prepared model keeps what its text encoder makes of `WORDS_ALONE`, so that tagging needs none."""

KINDS: dict[str, WordKind] = {
    "person": "person",
    **dict.fromkeys(("animal", "food", "fruit", "vehicle", "sport", "musical instrument"), "family"),
    **dict.fromkeys(("kitchen", "bathroom", "office", "bedroom", "living room", "street", "snow", "sea"), "place"),
    **dict.fromkeys(("lake", "swimming pool", "playground", "sports field"), "place"),
}
"""What the words of `IMPLIED` are; every other word is a thing."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and the classes that speak for it."""

    label: str
    kind: WordKind
    classes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Fine classes, each with a text for the text encoder, and the words made of them."""

    class_names: tuple[str, ...]
    words: tuple[Word, ...]


def build_vocabulary(imagenet_names: Sequence[str]) -> Vocabulary:
    """Put the tables together.

    Args:
        imagenet_names: 1,000 class names in ImageNet's order (`open_clip.IMAGENET_CLASSNAMES`).
    """
    names = (*(_plain_name(name) for name in imagenet_names), *WORDS_ALONE)
    words = [Word(label, "thing", classes) for label, classes in _parse(EVERYDAY).items()]
    taken = {index for word in words for index in word.classes}
    words += [Word(name, "thing", (index,)) for index, name in enumerate(names) if index not in taken]
    for label, classes in _parse(IMPLIED).items():
        people = tuple(names.index(name) for name in PEOPLE) if label == "person" else ()
        words.append(Word(label, KINDS[label], classes + people))
    words += [Word(label, "doing", classes) for label, classes in _parse(DOINGS).items()]
    words += [Word(label, "ground", ()) for label in GROUNDS]
    return Vocabulary(names, tuple(words))


def plain_label(label: str) -> str:
    """A label as a word of the vocabulary would be written: "A photo of a dog." is "dog"."""
    return _AROUND.sub("", " ".join(label.casefold().split()).rstrip(".")).strip()


_AROUND = re.compile(r"^(?:an? )?(?:(?:photo|picture|image|photograph) of )?(?:an? |the |some )?")


def _parse(table: str) -> dict[str, tuple[int, ...]]:
    classes: dict[str, list[int]] = {}
    for entry in table.replace("\n", "|").split("|"):
        if entry.strip():
            label, _, spans = entry.partition(":")
            for span in spans.split():
                first, _, last = span.partition("-")
                classes.setdefault(label.strip(), []).extend(range(int(first), int(last or first) + 1))
    return {label: tuple(indices) for label, indices in classes.items()}


def _plain_name(name: str) -> str:
    """Drop explanations: "kite (bird of prey)" is "kite", "baluster / handrail" is "baluster"."""
    return name.partition(" (")[0].partition(" / ")[0].strip()
