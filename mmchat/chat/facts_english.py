"""Which clauses of English are facts about who says them: one pattern for each way to say such a thing.

A pattern takes a whole clause; `about`, where a pattern has that group, is what makes two facts of a kind the
same topic ("I live in Lyon" and "I moved to Porto" are of the topic `home`; allergies differ by what they are to).
"""
# ruff: noqa: E501 - a pattern is read as a line

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from itertools import count

from mmchat.chat.fact_words import (
    CONDITIONS,
    DIETS,
    DISEASES,
    ENGLISH_DATE,
    EVENTS,
    HELD,
    JOBS,
    LANGUAGES,
    MEDICINES,
    NATIONS,
    NUMBERED,
    OWNED,
    PETS,
    PLAYED,
    RELATIVES,
    SPORTS,
    STANDINGS,
    THINGS,
    TOOLS,
    WORKPLACES,
)

_I_AM = r"(?:i'?m|im|i am|we're|we are)"
_I_HAVE = r"(?:i have|i've got|i've|i own|we have|we've got|we own|i got|i keep|we keep)"
_WHOSE = r"(?:my|our)"
_COUNT = r"(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|\d{1,2}|my own|several|some|twin|a few)"
_ADVERB = r"(?:(?:really|still|also|just|only|currently|now|actually|absolutely|usually|mostly|always|truly|do|quite|very|severely|highly|deathly|slightly|mildly|originally|happily|recently|both|all|already|never|partly)\s+){0,2}"
_ADJECTIVES = r"(?:[\w'-]+\s+){0,3}?"
_THING = (
    r"(?!(?:it|its|this|that|these|those|you|your|yours|the|both|all|how|what|when|where|which|why|who|him|her|his|hers|"
    r"them|their|theirs|everything|anything|nothing|something|someone|one|any|more|most|much|each|every|me|to|there|"
    r"here|if|so|myself|our|ours|us|doing that|having to|being|such|using your|answers?|"
    r"first|second|last|mine|neither|either|none|a|an|some|please)\b)(?P<about>[\w'’&-]+(?:\s+[\w'’&.-]+){0,7})"
)
"""Something that can be named by itself, later, without what it was said about."""
_DOING = (
    r"to\s+(?P<about>(?!(?:think|know|say|see|hear|have|be|believe|ask|start|point|admit|tell|get|do|use|make it|add|"
    r"try|thank|go on|go by|order|buy|book|pay|request|reserve|speak|pick|choose|send|receive|open|change|cancel|note|hope|imagine|understand|find|chat|talk to you)\b)[\w'-]+(?:\s+[\w'’-]+){0,5})"
)
_NOT_HERE = re.compile(
    r"\b(?:this|that one|these|those|here|your|you|version|option|paragraph|answers?|repl(?:y|ies)|response|responses|"
    r"explanation|suggestion|suggestions|idea|ideas|above|below|ones?|sentence|wording|example|examples|way you|it|"
    r"so far|scenario|trees?|nodes?|dataset|exercise|thoughts|data|information|please|instead|voice|to go|first one|story|poem|recipe|code|function|script|file|error|column|row|line \d+)\b",
    re.IGNORECASE,
)
"""What points at the conversation itself is no lasting taste."""
_TAIL = r"(?:\s+(?:now|too|as well|myself|these days|at the moment|any ?more|since \w+|for \w+ years|(?:in|at|near|with|from|for|by|who|of|on|and|or|but)\s+.+))?"
_ABSTRACT = (
    r"(?!(?:fear|hope|denial|peace|the (?:moment|past|present|future|now|clouds?|dark|here)|harmony|sin|constant|my "
    r"(?:head|dreams|own world|mind)|a (?:bubble|dream|society|world|democracy|simulation|time|state|constant|free)|this|"
    r"that|these|those|interesting|strange|hard|it|an era|an age|a yellow submarine|luxury|poverty|exile|it|your)\b)"
)
_BUILT = (
    r"(?:city|town|village|flat|house|home|apartment|farm|farmhouse|countryside|suburbs?|floor|dorm|dormitory|island|"
    r"mountains|coast|cabin|caravan|boat|houseboat|studio|centre|center|cottage|hamlet|desert|bungalow|condo|district)"
)
_BAD_STATE = (
    r"(?!(?:currently|incorrect|unlocked|unknown|invalid|outdated|expired|blocked|still|now|always|old|new|no|out|off|up|down|getting|acting|running|not|n't|too|very|so|wrong|right|here|there|broken|working|fine|ready|done|the|that|this|it|what|how|"
    r"important|about|in|on|to|going|gone|full|late|because|being|just|simply|probably|maybe|pretty|quite|a bit|"
    r"\d+ (?:digits|characters|letters|pages|words)|soon|a mess|nobody|never|ruined|missing|lost|locked|stuck|slow|empty|dead|yours|his|hers|as|with|also|none|private|"
    r"secret|taken|hidden|\.\.\.|…)\b)"
)


def _lines(capital: str) -> Iterable[tuple[str, str]]:
    """Topic and pattern of every kind of fact; `capital` is a word that names somebody or some place."""
    place = rf"(?P<about>(?:the\s+)?{capital}(?:[\s,]+(?:{capital}|of|the|upon|and)){{0,3}})"
    when = r"(?:\s+(?:now|again|today|last \w+|this \w+|in \d{4}|\w+ (?:months?|years?|weeks?) ago|recently|at the moment|for .+|since .+|with .+|and .+|as a .+|because .+|near .+|but .+))?"
    named = rf"{capital}(?:\s+{capital}){{0,2}}"
    relative = rf"(?P<about>{_ADJECTIVES}{RELATIVES})(?:\s+{named})?"
    # Who and where from
    yield (
        "name",
        rf"(?:my (?:full |first |real )?name(?:'s| is)|i'm called|i am called|i go by|people call me|(?:you can )?call me|my friends call me)\s+{named}",
    )
    yield "age", rf"{_I_AM}\s+(?:almost |nearly |about |over )?(?:[1-9]\d|1[01]\d)(?:\s+years? old|\s+yo|\s+and .+)?"
    yield "age", r"i(?:'ll)?\s+(?:turn|turned|will turn|be)\s+\d{2}\b.{0,30}"
    yield "birthday", rf"{_WHOSE} birthday(?:'s| is| falls)\s+.*(?:{ENGLISH_DATE}|\d).{{0,20}}"
    yield (
        "birthday",
        r"i was born (?:on|in)\s+(?:\d|(?:january|february|march|april|may|june|july|august|september|october|november|december)\b|the \d).{0,30}",
    )
    yield "birthplace", rf"i (?:was )?(?:born|born and raised) in\s+{place}{when}"
    yield (
        "origin",
        rf"{_I_AM}\s+(?:originally )?from\s+(?!(?:IT|HR|QA|PR|AI|PC)\b|(?:the )?{TOOLS}\b){place}(?:\s+originally)?{when}",
    )
    yield (
        "origin",
        rf"(?:i|we) (?:originally )?come from\s+(?!{TOOLS}\b)(?:{place}|a (?:family|village|town|small|big|large) .{{3,40}}){when}",
    )
    yield "origin", rf"i (?:grew up|was raised)\s+(?:in|on|near|with|between)\s+(?:{place}|an? .{{3,40}}){when}"
    yield "nationality", rf"{_I_AM}\s+(?:half[ -])?{NATIONS}(?:[ -]{NATIONS})?"
    yield (
        "home",
        rf"(?:i|we)(?:'m| am|'re| are|'ve been| have been|'ve| have)?\s+{_ADVERB}(?:lived|live|living|based|reside|settled)\s+(?:in|near|at|outside|just outside|close to|north of|south of|east of|west of|not far from)\s+{_ABSTRACT}(?:{place}|(?:an?|the|my own)\s+(?:[\w'-]+\s+){{0,3}}{_BUILT}\b.{{0,50}}|(?:[\w'-]+\s+){{0,2}}{capital}.{{0,40}}){when}",
    )
    yield (
        "home",
        rf"(?:i|we)(?:'ve| have)?\s+(?:just |recently |finally )?(?:moved|relocated)\s+(?:back )?(?:to|into)\s+(?!{TOOLS}\b){place}{when}",
    )
    yield "home", rf"(?:i|we)(?:'m| am|'re| are) moving to\s+{place}\s+.*{ENGLISH_DATE}.{{0,20}}"
    yield "home", rf"(?:i|we) (?:no longer live\s+in\s+{place}|don't live\s+in\s+{place}\s+any ?more)"
    yield (
        "household",
        rf"(?:i|we)\s+{_ADVERB}live\s+(?:alone|by myself|on my own|together|with\s+(?:my|our|two|three|a|an|four)\s+.{{3,40}}|on the \w+ floor.{{0,40}}|off[ -]grid)",
    )
    yield "household", r"(?:i|we) share (?:a|an|my|our) (?:flat|house|apartment|room)\s+with\s+.{3,40}"
    yield (
        "marriage",
        rf"{_I_AM}\s+{_ADVERB}(?:married|single|divorced|engaged|widowed|separated)(?:\s+(?:to|with|for|since|and|now|again)\s+(?!my (?:job|work)).*|\s+now|\s+again)?",
    )
    yield "standing:{about}", rf"{_I_AM}\s+{_ADVERB}(?P<about>{STANDINGS}){_TAIL}"
    # Work and study
    yield "work:role", rf"{_I_AM}\s+{_ADVERB}(?:an?|the)\s+{_ADJECTIVES}{JOBS}{_TAIL}"
    yield "work:role", r"i\s+(?:still |now |currently |also )?work as an?\s+.{3,50}"
    yield (
        "work:place",
        rf"(?:i|we)\s+{_ADVERB}work\s+(?:part[ -]time |full[ -]time |nights |mostly |remotely |freelance )?(?:for|at|in|with)\s+(?!(?:it|this|that|all|me|you|my head|your)\b)(?=.*(?:\b{WORKPLACES}\b|{capital})).{{2,50}}",
    )
    yield (
        "work:how",
        r"(?:i|we)\s+(?:usually |mostly |always |still )?work\s+(?:from home|night shifts|nights|part[ -]time|remotely|freelance|shifts|weekends)(?:\s+(?:as|at|for|on|in)\s+.{3,40})?",
    )
    yield (
        "work:role",
        rf"i(?:'m| am)?\s+{_ADVERB}(?:teach|teaching)\s+(?!(?:you|a|an|the|him|her|them|myself|it|this|that|someone)\b)[\w'-]+.{{0,50}}",
    )
    yield (
        "work:place",
        r"(?:i|we)\s+(?:own and )?(?:run|own|manage|opened)\s+(?:an?|my own|our own|the)\s+(?:[\w'-]+\s+){0,3}(?:shop|store|business|bakery|restaurant|café|cafe|farm|company|school|clinic|hotel|hostel|studio|practice|bar|pub|startup|agency|salon|gallery|bookshop)\b.{0,40}",
    )
    yield (
        "work:place",
        r"i(?:'m| am)?\s+(?:start|starting|begin|beginning)\s+(?:my|a|an)\s+(?:[\w'-]+\s+){0,2}(?:job|position|internship|apprenticeship|degree|course)\b.{0,40}",
    )
    yield "work:place", r"i(?:'m| am) (?:unemployed|between jobs|on parental leave|on maternity leave|self-employed)"
    yield "volunteering", r"i volunteer\s+(?:at|for|with|as|in)\s+(?!it\b|this\b|that\b).{3,50}"
    yield (
        "study",
        rf"i(?:'m| am)?\s+{_ADVERB}(?:studying|study)\s+(?!(?:the|a|an|it|this|that|these|those|hard|for|at night|my|your|how|what|and)\b)[a-z][\w'-]+(?:\s+[\w'’-]+){{0,6}}",
    )
    yield (
        "study:degree",
        r"i (?:studied|graduated in|majored in)\s+(?!(?:the|a|an|it|this|that|my|your|how|what|hard|all|for)\b)[a-z][\w'-]+(?:\s+[\w'’-]+){0,4}\s+(?:at|in|from)\s+.{2,30}",
    )
    yield (
        "study:degree",
        r"i have (?:an?|my) (?:phd|master's|bachelor's|doctorate|degree|master's degree|bachelor's degree)\s+(?:in|from)\s+.{2,40}",
    )
    # The body: what it must not get, what it has
    yield (
        "allergy:{about}",
        rf"{_I_AM}\s+(?:not\s+)?{_ADVERB}(?:allergic|intolerant|hypersensitive)\s+to\s+(?!(?:you|this|that|it|these|those|something|everything|work|stupidity|bad code|people|mondays|the sound)\b)(?P<about>[\w'’-]+(?:\s+[\w'’-]+){{0,6}})",
    )
    yield (
        "allergy:{about}",
        r"(?:i|we) have (?:an?|a severe|a bad|a serious) (?P<about>[\w-]+(?: [\w-]+)?) (?:allergy|intolerance)",
    )
    yield "allergy:{about}", r"i have an allergy to (?P<about>[\w'’-]+(?:\s+[\w'’-]+){0,3})"
    yield "diet", rf"{_I_AM}\s+{_ADVERB}(?:an? )?(?:strict |lifelong |mostly |lapsed )?{DIETS}{_TAIL}"
    yield (
        "diet:{about}",
        r"(?:i|we)\s+(?:don't|do not|can't|cannot|can not|never|no longer|only|mustn't|must not|am not allowed to|stopped)\s+(?:eat|drink|eating|drinking|consume)\s+(?!(?:and|it|this|that|these|those|them|any|another|a bite|a thing|one more|my|your|the|much|enough|anything|something|everything|when|while|from|before|after|all|too|here|there|out|more|until|or|what|so)\b)(?P<about>[\w'’-]+(?:\s+[\w'’-]+){0,4})",
    )
    yield "diet", rf"{_I_AM} on an? (?:strict )?[\w-]+(?: [\w-]+)? diet(?:\s.{{0,30}})?"
    yield (
        "diet",
        r"(?:i|we) (?:mostly |only |always )?(?:eat|follow|keep)\s+(?:an? )?(?:kosher|halal|vegan|vegetarian|keto|gluten-free|low-carb|low-salt|plant-based)(?:\s+diet|\s+food)?",
    )
    yield (
        "smoking",
        r"i\s+(?:don't|do not|never|no longer|quit|gave up|stopped)\s+(?:smoke|smoking|vape|vaping)(?:\s+.{2,25})?",
    )
    yield "alcohol", r"i\s+(?:don't|do not|never|no longer)\s+drink(?:\s+(?:alcohol|coffee|any alcohol))?"
    yield (
        "health:{about}",
        rf"(?:i have|i've got|i've had|i suffer from|i live with|i was (?:recently )?diagnosed with|i've been diagnosed with)\s+(?:(?:mild|severe|chronic|type [12]|bad|celiac|seasonal|slight|bipolar)\s+)?(?P<about>{DISEASES})\b.{{0,30}}",
    )
    yield (
        "health:{about}",
        rf"{_I_AM}\s+(?:not )?{_ADVERB}(?:(?:red-green|partially|slightly|legally|an?|profoundly|\w+ months)\s+)?(?P<about>{CONDITIONS}){_TAIL}",
    )
    yield (
        "health:{about}",
        r"i (?:use|wear|need)\s+(?:an?\s+)?(?P<about>wheelchair|hearing aids?|glasses|contact lenses|a? ?cane|crutches|walking frame|walking stick|prosthe\w+|a? ?CPAP\w*|reading glasses|white cane)(?:\s+(?:for|when|since|to|at|all|and|every)\b.{0,20})?",
    )
    yield (
        "medicine:{about}",
        rf"i(?:'m on| am on| take)\s+(?P<about>{MEDICINES}|(?:medication|pills|tablets) for .{{3,25}}).{{0,20}}",
    )
    yield (
        "measure:weight",
        r"i weigh\s+(?:about |around |roughly )?\d+(?:[.,]\d+)?\s*(?:kg|kilos?|kilograms?|pounds?|lbs?|stone|st)\b.{0,20}",
    )
    yield (
        "measure:height",
        r"i(?:'m| am)\s+(?:about |around )?\d[\d.,']*\s*(?:m|cm|metres|meters|feet|foot|ft)?\b\s*(?:\d+\s*)?(?:inches )?tall",
    )
    # Tastes
    like = r"(?:like|love|enjoy|adore|hate|dislike|detest|despise|prefer|collect|(?:can't|cannot) stand|(?:don't|do not|never|no longer) (?:like|enjoy|love))"
    yield "taste:{about}", rf"(?:i|we)\s+(?!would){_ADVERB}{like}\s+(?:{_THING}|{_DOING})"
    yield (
        "taste:{about}",
        rf"{_I_AM}\s+{_ADVERB}(?:(?:an? )?(?:big |huge |great |keen |lifelong )?(?:fan of|fond of|lover of|collector of)|into|crazy about|obsessed with|afraid of|scared of|terrified of|passionate about)\s+{_THING}",
    )
    yield (
        "mine:{about}",
        rf"{_WHOSE} (?P<about>(?:all-time )?(?:favou?rite|least favou?rite|preferred)\s+(?!(?:part|one|bit|line|version|answer|example|is|of)\b)[\w'-]+(?:\s+[\w'-]+)?)(?:'s| is| are| has always been)\s+{_BAD_STATE}(?!(?:your|\.))[\w'’\"«-].{{0,60}}",
    )
    # People, animals, things
    yield (
        "have:{about}",
        rf"(?:i|we)(?:'ve got|'ve| have| got| keep)\s+(?:{_COUNT})\s+{_ADJECTIVES}(?P<about>{RELATIVES}|{PETS})\b(?:\s+(?:named|called|who|which|that|with|in|at|and|from|of|aged|as)\b.{{1,60}}|\s+{named})?",
    )
    yield (
        "have:{about}",
        rf"{_I_HAVE}\s+(?:{_COUNT}|no)\s+{_ADJECTIVES}(?P<about>{THINGS}|{PETS})(?:\s+(?:named|called|with|in|at|near|by|from|on|behind)\b.{{1,50}})?",
    )
    yield (
        "have:{about}",
        rf"(?:i|we) (?:don't|do not) (?:have|own) (?:a|an|any) (?P<about>{THINGS}|{PETS}|{RELATIVES}|television|tv|computer|smartphone|freezer|oven|microwave|dishwasher|washing machine)",
    )
    yield (
        "have:{about}",
        r"i(?:'m| am)\s+(?:the|an?)\s+(?P<about>mother|father|parent|mum|mom|dad|grandmother|grandfather|twin)(?:\s+(?:of|to)\s+.{2,40})?",
    )
    yield "drives", r"(?:i|we) drive\s+an?\s+(?!lot|hard|long|bit|while|hour)(?:[\w'-]+\s*){1,4}"
    fate = (
        rf"(?:(?:'s| is| was| are)\s+(?:an? {_ADJECTIVES}{JOBS}{_TAIL}|(?:called|named)\s+{named}|{named}$"
        rf"|(?:almost |nearly )?\d{{1,3}}(?: years? old)?(?: and \d{{1,3}}(?: years? old)?)?|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?: years? old)?(?: now)?"
        rf"|(?:an? )?{DIETS}|{CONDITIONS}|(?:from|in) {named}|(?:originally )?from {named}|(?:also )?{NATIONS}|(?:{_ADVERB})(?:allergic to|afraid of|scared of|fond of|into|married to) .{{3,40}}"
        rf"|(?:getting married|graduating|turning \d+|due) .{{0,20}}{ENGLISH_DATE}.{{0,12}}|learning (?:{LANGUAGES}|{PLAYED}))"
        rf"|\s+(?:lives?|works?|studies|study|teaches|speaks?|plays?|collects?|grew up|was born|were born|loves?|likes?|hates?|can't stand|can't eat|doesn't eat|don't eat|has|have|drives?|runs|sings)\s+"
        rf"(?!(?:it|this|that|these|those|you|your|to (?:know|say|think|go|leave|be|do)|been|had|a (?:problem|question|point|cold|fever|headache|meeting)|me|him|her|them|when|how|here|hard|no idea|tonight|today|so|a lot|plenty|more|other|always|such|like)\b).{{2,60}})"
    )
    yield "about:{about}", rf"{_WHOSE} {relative}{fate}"
    yield (
        "about:{about}",
        rf"{_WHOSE} (?P<about>{_ADJECTIVES}{PETS})(?:\s+{named})?(?:{fate}|(?:'s| is)\s+(?:an? )?(?:{named}|[\w-]+ (?:terrier|retriever|collie|spaniel|poodle|shepherd|cat|dog))\b.{{0,20}})",
    )
    yield (
        "mine:{about}",
        rf"{_WHOSE} (?P<about>{RELATIVES}(?: {named})?'s? (?:name|birthday|job|phone number|address|favou?rite \w+))(?:'s| is)\s+{_BAD_STATE}.{{2,50}}",
    )
    yield (
        "mine:{about}",
        rf"{_WHOSE} (?P<about>(?:{PETS})'s? (?:name|birthday|vet|food))(?:'s| is)\s+{_BAD_STATE}.{{2,40}}",
    )
    yield (
        "home",
        rf"my (?:wife|husband|partner|family|girlfriend|boyfriend|kids|parents|brother|sister|daughter|son|flatmate|roommate)(?: {named})? and i live\s+(?:in|near|on|at)\s+{_ABSTRACT}.{{2,40}}",
    )
    which = r"(?:new |old |current |main |second |work |home |native |first )?"
    yield (
        "mine:{about}",
        rf"{_WHOSE} (?P<about>{which}{OWNED})(?:'s| is| are|:)\s+(?:on\s+|at\s+|in\s+)?{_BAD_STATE}(?=.*\w)(?:an?\s+|the\s+)?[\w'’@#+\"-].{{0,60}}",
    )
    yield (
        "mine:{about}",
        rf"{_WHOSE} (?P<about>{which}{NUMBERED})(?:'s| is| are|:)\s+{_BAD_STATE}(?=.*(?:\d|{capital}))[\w'’@#+\"-].{{0,60}}",
    )
    yield (
        "mine:{about}",
        rf"{_WHOSE} (?P<about>{which}{HELD})(?:'s| is| are|:)\s+(?!.*\bone\b)(?:(?:called|named)\s+{_BAD_STATE}[\w'’-].{{0,40}}|an?\s+(?!bit|mess|little|lot|disaster|joke|problem)[\w'’-].{{0,40}}|{named}(?:\s.{{0,20}})?)",
    )
    # Languages, skills, habits
    yield (
        "speaks:{about}",
        rf"(?:i|we)\s+{_ADVERB}(?:speak|am fluent in|understand|know)\s+(?:fluent |some |a little |a bit of |basic |only |native )?(?P<about>{LANGUAGES})\b.{{0,60}}",
    )
    yield (
        "speaks:{about}",
        rf"{_I_AM}\s+(?:fluent in|learning|studying|teaching myself|taking lessons in)\s+(?P<about>{LANGUAGES})\b.{{0,30}}",
    )
    yield (
        "plays:{about}",
        rf"(?:i|we)(?:'m| am)?\s+{_ADVERB}(?:can play|play|played|playing|learning|practise|practice|learn)\s+(?:the\s+)?(?P<about>{PLAYED})\b.{{0,40}}",
    )
    yield (
        "plays:{about}",
        rf"(?:i|we)\s*{_ADVERB}(?:do|run|practise|practice|go|'m training for|am training for)\s+(?:an? )?(?P<about>{SPORTS}|marathon|half-marathon|triathlon)\b.{{0,40}}",
    )
    yield (
        "sings",
        r"i sing\s+(?:in|with)\s+(?:a|an|the|my|our)\s+(?:[\w'-]+\s+){0,2}(?:choir|band|group|chorus|opera|musical)\b.{0,30}",
    )
    yield (
        "habit",
        r"(?:i|we)\s+(?:usually|always|normally|often|typically|rarely|never)\s+(?:get up|wake up|go to bed|cycle|commute|walk|have breakfast|have lunch|have dinner|skip breakfast|go (?:running|swimming|jogging|climbing|hiking|to the gym|to church))\b.{0,50}",
    )
    yield (
        "habit",
        r"(?:i|we)\s+(?:go|get up|wake up|run|swim|meet|cycle|practise|practice|train|volunteer)\b.{0,40}\b(?:every|each|at five|at six|on)\s+(?:day|morning|evening|week|weekend|(?<=every )(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)|(?<=each )(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)|mondays|tuesdays|wednesdays|thursdays|fridays|saturdays|sundays).{0,30}",
    )
    yield (
        "been",
        rf"i(?:'ve| have) never been (?:to|in|on)\s+(?:{place}|an? (?:plane|airplane|boat|ship|train)).{{0,20}}",
    )
    # Plans with a date
    yield (
        "plan",
        rf"{_I_AM}\s+(?:going|flying|travell?ing|driving|heading|sailing)\s+(?:back )?to\s+{place}\b.*{ENGLISH_DATE}.{{0,30}}",
    )
    yield (
        "plan",
        rf"(?:i|we)(?:'ve got|'ve| have)\s+(?:an?|my|our)\s+(?:[\w'-]+\s+){{0,2}}{EVENTS}\b.*{ENGLISH_DATE}.{{0,30}}",
    )
    yield (
        "plan",
        rf"{_I_AM}\s+(?:getting married|having (?:surgery|an operation|a baby)|graduating|expecting a (?:baby|child)|starting .{{3,30}}|retiring)\s+.*{ENGLISH_DATE}.{{0,20}}",
    )
    yield (
        "plan:{about}",
        rf"{_WHOSE} (?:[\w'-]+ )?(?P<about>{EVENTS})(?:'s| is| are| leaves| starts| begins)\s+.*{ENGLISH_DATE}.{{0,40}}",
    )


_ANY_CAPITAL = r"(?-i:[A-ZÀ-ÖØ-ÞĀ-Ž][\w'’.-]+)"
_LOWER_NAME = (
    r"(?!(?:the|a|an|my|this|that|not|it|you|in|on|at|and|but|so|what|how|is|are|was|to|of|for|here|there|important|"
    r"settings|next|work|now|today|bed|too|very|need|have|be|get|make|try|use|ask|say|do|go|see|take|want|look|buy|start|tell|"
    r"call|eat|cook|find|give|leave|keep|put|send|show|talk|meet|visit|dad|mom|later|tomorrow|back|when|if|crazy|"
    r"maybe|asap|please|anytime|sir|boss|lost|dead|stolen|broken|currently|gone|missing|frozen|locked|cracked|"
    r"charging|ringing|full|empty|out|off|on|wrong|stuck|slow|old|new)\b)[a-zà-ž][\w'-]+"
)


@cache
def _patterns(*, is_lower: bool) -> tuple[tuple[str, str, bool], ...]:
    """Topic, pattern, and whether the pattern is of what is the user's ("my …") and not of the user."""
    lines = _lines(_LOWER_NAME if is_lower else _ANY_CAPITAL)
    return tuple((topic, pattern, pattern.startswith(_WHOSE)) for topic, pattern in lines)


@cache
def compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """A pattern whose group `about` may be written several times, in alternatives of it.

    Compiled when a clause first needs it: all of them take a quarter of a second, which no start should wait for.
    """
    numbers = count()
    return re.compile(re.sub(r"\(\?P<about>", lambda _: f"(?P<about{next(numbers)}>", pattern), flags)


def about(match: re.Match[str]) -> str:
    """What the alternative that matched is about."""
    return next((text for text in match.groupdict().values() if text), "")


_SELF = re.compile(
    r"(?:i|im|i'm|i've|i'll|we|we're|we've|my|our|you can call me|call me|people call me)\b", re.IGNORECASE
)
_LASTING = ("taste", "work", "standing", "marriage", "plays", "have", "health")
_OWN = re.compile(rf"{_WHOSE}\b", re.IGNORECASE)
_GREETED = re.compile(
    r"(?:i'm|i am|it's|this is)\s+(?P<name>(?-i:[A-Z][a-zà-ž]+)(?:\s+(?-i:[A-Z][a-zà-ž]+))?)(?:\s+from\s+.{2,30})?",
    re.IGNORECASE,
)
_NO_NAMES = re.compile(
    rf"(?:batman|robin|superman|sorry|ok|okay|groot|spartacus|god|santa|barbie|sure|back|fine|{NATIONS}|{LANGUAGES}|{STANDINGS})\b",
    re.IGNORECASE,
)
_ARTICLES = re.compile(r"^(?:an?|the|my|some|fresh|all|any)\s+", re.IGNORECASE)
_TASTE_REST = re.compile(
    r"\s+(?:any ?more|now|too|a lot|very much|so much|these days|and .*|but .*|to .*|in .*|when .*|with .*)$"
)


def topic_of(clause: str, *, is_lower: bool = False, is_greeted: bool = False) -> str | None:
    """What a clause of English tells about who says it; None where it tells nothing that is known.

    Args:
        clause: with plain apostrophes, without what led up to it.
        is_lower: it stands in a message without a single capital, so that names have none either.
        is_greeted: a greeting stands before it, so that "I'm Anna" is a name.
    """
    if not _SELF.match(clause):
        return None
    is_whose = bool(_OWN.match(clause))
    for topic, pattern, is_of_whose in _patterns(is_lower=is_lower):
        if is_of_whose and not is_whose:
            continue
        match = compiled(pattern, re.IGNORECASE).fullmatch(clause)
        if match is None:
            continue
        if topic.startswith(_LASTING) and _NOT_HERE.search(clause):
            return None
        if "{about}" in topic:
            return topic.format(about=plain_topic(about(match)))
        return topic
    if is_greeted and (greeted := _GREETED.fullmatch(clause)) and not _NO_NAMES.match(greeted["name"]):
        return "name"
    return None


def plain_topic(about: str) -> str:
    """What a fact is about, spelled alike however it was said."""
    plain = _ARTICLES.sub("", about.casefold().strip(" .!,"))
    return _TASTE_REST.sub("", plain)
