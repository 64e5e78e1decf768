"""Tables of what a predicate says, and of what it can be only one way at a time: its slot.

A pattern reads a predicate in the third person, without adverbs: "lives in Oslo since May". Its
group `tail` is the other end of the relation; relations and slots may name any group.
"""

import re

from memkit.thoughts.rules.english import third
from memkit.thoughts.rules.lexicon import NUMBERS, ORDINALS, PROFESSIONS, wordset

_NUMBER = rf"(?P<number>\d[\d,.]*\d|\d|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
_ABOUT = r"(?:(?:about|around|over|nearly|almost|roughly|at least|a total of|only) )?"
_OWNER = r"(?:[^\s']+|the user)'s"
_A = rf"(?:an?|the|{_OWNER}|their)"
FREQUENCY = (
    rf"(?P<often>(?:about |around |at least |only )?(?:(?:once|twice|{_NUMBER} times)"
    r"(?: or \w+ times)? (?:an?|per|each|every) (?:day|week|month|year|night)|"
    r"every (?:other |single |\w+ )?(?:day|days|week|weeks|month|months|year|morning|evening|night|"
    r"weekend|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)|"
    r"daily(?! (?!(?:on|at|in|with|for|since|and)\b)[a-z])|"
    r"on (?:weekends|weekdays|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days(?: and "
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days)?)))"
)
_HABITS = (
    "play|drink|eat|drive|ride|speak|study|teach|practice|practise|use|attend|collect|smoke|coach|"
    "run|wear|take|read|grow|do"
)
ONGOING = frozenset(_HABITS.split("|")) | wordset(
    "volunteer swim jog knit paint write meditate dance sing cycle bake cook ski skate vape"
)
_HABIT = "|".join(third(verb) for verb in _HABITS.split("|"))
_JOB = rf"(?P<tail>(?:[\w-]+ ){{0,3}}?(?:{'|'.join(sorted(PROFESSIONS))}))\b"
_TO_BE = r"(?:is|became|has become|has been)"

_LIKES = (
    r"(?:loves|likes|enjoys|prefers|adores|(?:has been|is) (?:loving|enjoying)|(?:is|became|"
    r"has become|got|has been) (?:an? (?:\w+ )?fan of|into|fond of|obsessed with|"
    r"passionate about|keen on|addicted to))"
)
_DISLIKES = (
    r"(?:hates|dislikes|detests|despises|(?:can't|cannot) stand|(?:does not|doesn't|"
    r"no longer) (?:like|likes|enjoy|enjoys|love|loves|prefer)|(?:is not|"
    r"isn't) (?:an? (?:\w+ )?fan of|into|fond of)|is (?:tired|sick) of|went off)"
)
_NEW_JOB = (
    rf"(?:got|found|landed|has|accepted|took|started|has started|has got)(?: {_A})?(?: new|"
    r" first| dream| part-time| full-time)* (?:job|position|role|gig)"
)

TASTE = re.compile(rf"(?:{_LIKES}|{_DISLIKES}) ")
# relation, pattern, slot behind the head; the first that matches counts
ROWS: tuple[tuple[str, str, str | None], ...] = (
    ("lives in", r"(?:lives|is living|is based) (?:in|at|on|near) (?P<tail>.+)", "lives in"),
    ("lives in", r"has (?:lived|been living) in (?P<tail>.+?) (?:since|for) .+", "lives in"),
    (
        "lives in",
        r"(?:has )?(?:moved|relocated)(?: back| out| over)?(?: from .{1,60}?)? (?:in)?to "
        r"(?!tears|be\b)(?P<tail>.+)",
        "lives in",
    ),
    (
        "works at",
        rf"(?:works|is working|has been working|started working|has worked)(?: part-time| full-time"
        rf"| remotely)?(?: as (?:\w+ ){{1,4}}?)? ?(?:at|for) (?P<tail>(?:(?:an?|the|"
        rf"{_OWNER}) )?\S.*)",
        "works at",
    ),
    ("works at", rf"{_NEW_JOB}(?: as .{{1,40}}?)? (?:at|with|for) (?P<tail>.+)", "works at"),
    ("joined", r"(?:joined|started at|has joined) (?P<tail>[A-Z]\w+.*)", None),
    (
        "works as",
        rf"(?:(?:works|is working|has been working|started working|got hired|was hired|"
        rf"(?:got|was|has been) promoted|{_NEW_JOB})(?: (?:at|for) .{{1,40}}?)? (?:as|to)) "
        rf"(?:(?:an?|the) )?(?P<tail>.+)",
        "works as",
    ),
    ("works as", rf"{_TO_BE} (?:now )?(?:an?|the) {_JOB}.*", "works as"),
    (
        "no longer has the job",
        rf"(?:quit|left|lost|resigned from|has quit|has left|has lost|got fired from|"
        rf"got laid off from|was laid off from) {_A} (?:\w+ ){{0,3}}?(?P<tail>job|position)\b.*",
        "works at",
    ),
    ("no longer works at", r"no longer works (?:at|for) (?P<tail>.+)", "works at"),
    ("no longer lives in", r"no longer lives in (?P<tail>.+)", "lives in"),
    ("is aged", r"(?:is|turned|has turned) (?P<tail>\d{1,3})(?: years old)?(?: .*)?", "age"),
    (
        "is",
        rf"(?:{_TO_BE}|got|has gotten) (?:happily |officially |now )?"
        r"(?P<tail>single|married|engaged|divorced|widowed|separated)\b.*",
        "relationship status",
    ),
    ("is", r"(?:is|has been|started) (?P<tail>(?:dating|seeing) [A-Z]\w+)", "relationship status"),
    ("broke up with", r"(?:has broken|broke) up with (?P<tail>.+)", "relationship status"),
    (
        "is",
        rf"(?:{_TO_BE}|went|turned|has gone|has turned) (?:an? )?(?:strict )?(?P<tail>vegan|"
        r"vegetarian|pescatarian|flexitarian|keto|gluten-free|dairy-free)\b.*",
        "diet",
    ),
    (
        "is not",
        r"(?:is not|is no longer|isn't) (?:an? )?(?:\w+ )?(?P<tail>vegan|vegetarian|"
        r"pescatarian|keto)\b.*",
        "diet",
    ),
    (
        "is not",
        r"(?:is not|is no longer|isn't) (?:\w+ )?(?P<tail>single|married|engaged|dating\b.*)",
        "relationship status",
    ),
    ("is named", r"(?:is|was) (?:named|called) (?P<tail>[A-Z].*)", "name"),
    (
        "is not allergic to",
        r"(?:is not|isn't|is no longer) (?:\w+ )?allergic to "
        r"(?P<tail>.+?)(?: after all| any ?more)?",
        "allergic to | {tail}",
    ),
    ("is allergic to", r"(?:is|became) (?:\w+ )?allergic to (?P<tail>.+)", "allergic to | {tail}"),
    ("does not like", rf"{_DISLIKES} (?P<tail>.+)", "likes | {tail}"),
    ("likes", rf"{_LIKES} (?P<tail>.+)", "likes | {tail}"),
    (
        "does not {verb}",
        rf"(?:does not|doesn't|no longer|never) (?P<habit>{_HABITS}|{_HABIT}) (?P<tail>.+)",
        "{habits} | {tail}",
    ),
    (
        "no longer {habits}",
        r"(?:quit|stopped|gave up|has quit|has stopped|"
        r"has given up) (?P<ing>\w+ing)\b ?(?P<tail>(?!(?:to|into|at|in|on|for|with|about|up|"
        r"out|from|off)\b).*)",
        "{habits} | {tail}",
    ),
    (
        "{habits}",
        r"(?:started|began|took up|has started|has begun|"
        r"has taken up) (?P<ing>\w+ing)\b ?(?P<tail>(?!(?:to|into|at|in|on|for|with|about|up|"
        r"out|from|off)\b).*)",
        "{habits} | {tail}",
    ),
    (
        "gave up",
        r"(?:quit|gave up|has quit|has given up|cut out) (?P<tail>(?!.*\bago\b|last\b).+)",
        "likes | {tail}",
    ),
    ("needs", rf"needs (?P<tail>{_NUMBER} (?:more )?(?P<things>.+))", "number of {things} needed"),
    (
        "has",
        rf"(?:has|owns|has got) (?P<tail>{_ABOUT}{_NUMBER} (?:new )?(?P<things>.+))",
        "number of {things}",
    ),
    (
        "has {done}",
        r"(?:has|has (?:managed|been able) to|"
        rf"managed to) (?P<done>\w+) (?P<tail>{_ABOUT}{_NUMBER} (?:new |"
        r"different )?(?P<things>.+))",
        "number of {things}",
    ),
    (
        "{done}",
        rf"(?P<done>\w+) (?P<tail>{_ABOUT}{_NUMBER} (?:new |different )?(?P<things>.+?)) (?:since|"
        r"so far)\b.*",
        "number of {things}",
    ),
    (
        "{done}",
        r"(?:has )?(?P<done>finished|completed|read|wrote|made|painted|started|visited|"
        rf"written) {_A} (?P<tail>(?P<nth>\d+(?:st|nd|rd|th)|"
        rf"{'|'.join(ORDINALS)}) (?P<things>.+))",
        "number of {things}",
    ),
    (
        "no longer has",
        r"(?:(?:has )?(?:sold|got rid of|gave away|given away|donated)|no longer (?:has|have|"
        rf"owns?)) (?:(?:{_A}|any) )?(?P<tail>.+)",
        "has | {tail}",
    ),
    (
        "does not have",
        rf"(?:does not|doesn't) (?:have|own) (?:(?:{_A}|any) )?(?P<tail>.+)",
        "has | {tail}",
    ),
    (
        "has",
        r"(?:has|does have|owns|has got|bought|has bought|adopted|has adopted|purchased|"
        r"has purchased) (?:an?) (?!few|lot|couple)(?:new |brand new )?(?P<tail>.+)",
        "has | {tail}",
    ),
    (
        "{tail}, how long",
        r"(?:(?:has been |is )?(?:dedicating|spending|practicing|practising)|dedicates|spends|"
        r"practices) (?P<long>(?:about |around |at least |roughly )?(?:an?|"
        rf"{_NUMBER})(?: and a half)? (?:hours?|minutes?|days?)(?: (?:each|every|per|a) (?:day|"
        r"week|month|night|morning))?) (?:to|on|for)?\s?(?P<tail>.+)",
        "{tail} | how long",
    ),
    (
        "{done}",
        rf"(?P<done>reached|hit|passed|gained) (?P<tail>{_ABOUT}{_NUMBER} (?P<things>.+))",
        "number of {things}",
    ),
    (
        "has {done}",
        r"has (?P<done>saved|raised|earned|lost|paid) (?:up )?(?:about |around |over |nearly )?"
        r"(?P<tail>\$\d[\d,.]*)\b.*",
        "{done} | how much",
    ),
    (
        "{at}, at what time",
        r"(?:is |has been )?(?P<at>(?:wak|gett|go|com|leav|start|finish|gets?|wakes?|goes|comes|"
        r"leaves|starts|finishes)(?:ing)?(?: (?:up|home|work|to bed|to sleep|"
        r"to work))?) (?:at|around"
        r"|by) (?P<tail>\d{1,2}(?::\d\d)?(?: ?[ap]\.?m\b)?).*",
        "{at} | at what time",
    ),
    (
        "keeps {kept}",
        rf"(?:keeps|stores|(?:is|has been) (?:keeping|storing)|moved|hung|put) {_A} "
        r"(?P<kept>(?:[\w-]+ ){1,4}?)(?P<tail>(?:in|on|under|above|at|inside|behind|beside|next to|"
        r"to) .+)",
        "{kept} | where",
    ),
    (
        "uses for {purpose}",
        r"(?:uses|(?:is|has been) using) (?P<tail>[^,]{2,40}?) (?:for|"
        r"to) (?P<purpose>(?:\S+'s )?[a-z][^,]{2,40})",
        "uses for | {purpose}",
    ),
    (
        "{doing}, for how long",
        rf"has been (?P<doing>\w+ing(?: [^,]{{1,40}}?)?) for (?P<tail>{_ABOUT}(?:an?|{_NUMBER})"
        r"(?: and a half)? (?:days|weeks?|months?|years?))\b.*",
        "{doing} | for how long",
    ),
    ("was born in", r"was born (?:in|on) (?P<tail>.+)", "born"),
    ("is from", r"is (?:originally )?from (?P<tail>[A-Z].+)", "is from"),
    ("speaks", r"speaks (?P<tail>[A-Z]\w+)", None),
    ("{habit}", rf"(?P<habit>{_HABIT}) (?!not\b)(?P<tail>.+)", "{habit} | {tail}"),
)
