"""English as far as the rules need it: word tables, verb forms and the third person.

There is no parser. A word is a verb if a table lists it, or if it follows "I".
"""

import re
from dataclasses import dataclass

from memkit.text.dates import MONTHS, WEEKDAYS
from memkit.text.words import wordset

# ---- tables: closed word classes and common verbs

# base form, past tense, past participle
_IRREGULAR_VERBS = """
be was been, become became become, begin began begun, bite bit bitten, break broke broken,
bring brought brought, build built built, buy bought bought, catch caught caught,
choose chose chosen, come came come, cut cut cut, deal dealt dealt, dig dug dug, do did done,
draw drew drawn, drink drank drunk, drive drove driven, eat ate eaten, fall fell fallen,
feed fed fed, feel felt felt, fight fought fought, find found found, fly flew flown,
forget forgot forgotten, get got gotten, give gave given, go went gone, grow grew grown,
hang hung hung, have had had, hear heard heard, hide hid hidden, hit hit hit, hold held held,
hurt hurt hurt, keep kept kept, know knew known, lead led led, learn learnt learnt,
leave left left, lend lent lent, let let let, lose lost lost, make made made, mean meant meant,
meet met met, pay paid paid, put put put, quit quit quit, read read read, ride rode ridden,
run ran run, say said said, see saw seen, sell sold sold, send sent sent, set set set,
sew sewed sewn, shake shook shaken, shoot shot shot, show showed shown, sing sang sung,
sit sat sat, sleep slept slept, speak spoke spoken, spend spent spent, split split split,
stand stood stood, steal stole stolen, stick stuck stuck, swim swam swum, take took taken,
teach taught taught, tear tore torn, tell told told, think thought thought, throw threw thrown,
understand understood understood, wake woke woken, wear wore worn, win won won, write wrote written
"""
_IRREGULAR = {
    base: (past, participle)
    for base, past, participle in (row.split() for row in _IRREGULAR_VERBS.split(","))
}
_REGULAR = wordset("""
commit submit deploy merge document schedule reply respond log pack lock avoid
accept ache achieve acquire adapt add admire adopt advise afford aim allow answer appear apply
arrange arrive ask assemble assist attend avoid babysit bake bike block board book borrow browse
brew call camp care carry celebrate change charge chat check clean climb close coach code collect
combine commute compete complete compose conduct connect consider consume contact continue
contribute cook coordinate cover crave create cross cycle dance date decide decorate dedicate
deliver depend design detest develop discover discuss dislike display donate download dream dress
drop earn edit encounter encourage enjoy enroll enter exercise expand expect experience explore
face fail fill film finish fish fit fix focus follow freelance garden gather graduate handle hate
head help hike hire host hunt identify include improve injure inherit install interview invest
invite jog join journal juggle jump knit land last launch like listen live load loan lock look love
maintain major manage marry master measure meditate mentor miss mix move need nurture offer open
operate order organise organize own pack paint park participate pass perform phone photograph pick
plan plant play post practice practise prefer prepare present print process produce program promote
publish purchase push raise reach receive record recover recycle reduce register relax release
relocate remember remind remodel remove renew renovate rent repair replace report rescue research
restart restore resume retire return review roast sail sand save schedule scan search serve share
shop sign sketch skate ski skip smoke snack solve sponsor start stay stitch stop store stream
stretch struggle study subscribe suffer suggest support surf swap switch talk taste tend test text
thank thrift tour track trade train transfer travel treat try turn tutor type upgrade upload use
vacation visit volunteer vote wait walk want wash watch weigh witness work worry
""")
BASE_FORMS = _REGULAR | frozenset(_IRREGULAR)
_PAST = frozenset(past for past, _ in _IRREGULAR.values())
_PARTICIPLES = frozenset(participle for _, participle in _IRREGULAR.values()) | {"got"}
# "put", "read": the past looks like the present
_UNCHANGED = frozenset(base for base, (past, _) in _IRREGULAR.items() if base == past)
_NOT_PAST = wordset("need feed speed succeed proceed exceed bleed breed embed")  # end in "ed"

ADVERBS = wordset("""
also just really recently finally actually always never still already usually often currently now
only even totally definitely absolutely simply sometimes rarely occasionally once regularly mostly
typically normally generally truly originally initially eventually ultimately officially basically
literally kinda honestly personally both barely hardly lately previously not quickly easily
successfully proudly happily luckily unfortunately fortunately thankfully frequently primarily
""")
# adverbs that the third person leaves out: "I actually love tea"
_EMPHATIC = wordset("""
also actually totally definitely absolutely simply literally basically honestly
kinda truly even""")
# adverbs that can be left out without changing what is stated
NEUTRAL_ADVERBS = ADVERBS - wordset(
    "not never barely hardly rarely sometimes occasionally once only previously"
)
_MODALS = wordset("would could should might may must shall can cannot can't will won't ought")
# "I think", "I hope": verbs of mental states and polite phrases
MENTAL_VERBS = wordset("""
think guess hope wish mean believe feel know understand agree appreciate wonder suppose bet
imagine assume swear promise apologise apologize doubt forget remember want expect consider admire
thank suggest recommend say tell ask worry care tend try seem look sound let need come
thought guessed hoped wished meant believed felt knew understood agreed appreciated wondered
supposed figured imagined assumed forgot remembered wanted expected considered said told asked
realized realised noticed figured mentioned thanked suggested recommended admired worried tried
seemed looked sounded doubted needed came
""")
# complements of "I'm ..." that state nothing lasting: "glad", "looking for"
EMPTY_STATES = wordset("""
glad happy sorry excited sure proud grateful thankful ready here there stoked thrilled pleased
curious interested afraid worried confident aware certain fine good great ok okay well back
looking thinking wondering trying hoping considering going talking saying asking feeling
so pretty very quite too super really done all up down like kind sort lucky blessed fortunate
determined impressed amazed surprised confused concerned able unable open keen eager inspired
positive motivated happy honored touched game flexible familiar unsure hesitant torn just still
getting having leaning struggling not always definitely totally
""")
# people and animals that are introduced by a possessive: "my sister"
KIN = wordset("""
sister brother mother father mom mum dad mama papa wife husband partner girlfriend boyfriend fiance
fiancé fiancee fiancée son daughter kid kids child children baby twins cousin uncle aunt nephew
niece grandma grandmother grandpa grandfather grandson granddaughter parents siblings roommate
flatmate friend friends buddy neighbor neighbour boss manager coworker colleague teacher mentor
coach doctor therapist dentist dog cat puppy kitten bird parrot horse rabbit hamster stepson
stepdaughter stepmother stepfather stepsister stepbrother godson goddaughter bestie ex
""")
# words that name nothing definite
VAGUE = wordset("""
it that this these those them they he she him her one ones something anything everything nothing
someone anyone everyone thing things stuff lot lots bit bunch tons kind sort time times fun blast
idea ideas question questions point chance sense feeling feelings way ways look try shot go moment
minute second luck word doubt clue problem problems issue issues trouble part deal day days good
great better best nice awesome amazing wonderful fantastic new old big little small huge own much
many more most some any all enough such other another same different next last few couple really
very so too also pretty super just still always never ever again now then here there today back up
down out off on in at to of for with from by about into over through around after before a an the
and or but nor is are was were be been being am has have had do does did done get got not no yes
well hard fast far away together alone what how who when where why which whose if as than like it's
can will there's i'm forward step care help advice tips recommendation recommendations suggestion
suggestions interest experience mind need pleasure true happy glad wow okay ok sure memories
difference progress effort right wrong inspiring incredible important lovely cool support everybody
ton news somebody anybody nobody ourselves themselves itself yourself myself place side end start
break
situation case reason reasons fact opinion choice options option difficulty success impact
""")
TIME_WORDS = wordset("""
year years month months week weeks weekend day days hour hours minute minutes morning afternoon
evening night tonight yesterday tomorrow ago recently lately past
""")
# capitalised at the beginning of a sentence without being a name
NOT_NAMES = {name.lower() for name in (*MONTHS, *WEEKDAYS)} | wordset("""
a an the this that these those it he she they we i you my your our his her its their there here
what who when where why how which yes no yeah yep nope ok okay well so and but or also just maybe
perhaps then now today yesterday tomorrow tonight
someone everyone anyone nobody everything something nothing anything one two three both all some
many most few others another each every everybody somebody mom dad love art life music nature
dance family work time people kids having being getting thanks thank sounds looks
wow hey hi hello great good nice cool awesome amazing please sorry glad
""")
PROFESSIONS = wordset("""
accountant actor actress analyst architect artist assistant attorney author baker barber barista
bartender biologist boss builder bus driver carpenter cashier ceo chef chemist cleaner coach
consultant contractor cook counselor counsellor dancer dentist designer detective developer
dietitian director doctor editor electrician engineer entrepreneur farmer firefighter freelancer
gardener geologist hairdresser historian illustrator instructor intern janitor journalist judge
lawyer lecturer librarian manager marketer mechanic model musician nanny nurse officer optician
painter paralegal paramedic pharmacist photographer physician physicist physiotherapist pianist
pilot plumber police principal producer professor programmer psychologist realtor receptionist
recruiter reporter researcher sailor salesperson scientist secretary singer soldier specialist
student supervisor surgeon surveyor tailor teacher technician therapist trainer translator tutor
vet veterinarian waiter waitress welder writer
""")
# things with a date, which no newer one replaces: "my flight is on Monday"
EVENTS = wordset("""
meeting flight appointment interview exam test call class session game match concert show wedding
party trip vacation holiday deadline reservation booking date dinner lunch checkup surgery race
tournament conference presentation performance
""")

# ---- verb forms

_THIRD_PERSON = {
    "be": "is", "am": "is", "are": "is", "have": "has", "do": "does", "go": "goes",
    "don't": "does not", "haven't": "has not", "aren't": "is not", "ain't": "is not",
    "were": "was", "weren't": "was not", "didn't": "did not", "wasn't": "was not",
}  # fmt: skip
_AUXILIARIES = wordset("was had hadn't did")  # the same in the first and third person
# "I read a lot" is present, "I read it" is past
_HABITUAL = re.compile(r"\b(?:every|usually|often|always|daily|each|a lot|mostly)\b")


def third_person(verb: str) -> str:
    """Return the form of a verb that follows "she".

    >>> [third_person(verb) for verb in ("live", "have", "study", "play", "watch")]
    ['lives', 'has', 'studies', 'plays', 'watches']
    """
    if verb in _THIRD_PERSON:
        return _THIRD_PERSON[verb]
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")


BASE_BY_THIRD_PERSON = {third_person(verb): verb for verb in BASE_FORMS}


def is_past(word: str) -> bool:
    """Return whether a word can be a verb in the past: by a table, or by its "-ed".

    >>> is_past("moved"), is_past("went"), is_past("need")
    (True, True, False)
    """
    return word in _PAST or (word.endswith("ed") and len(word) > 3 and word not in _NOT_PAST)


def is_participle(word: str) -> bool:
    """Return whether a word can follow "has"."""
    return word in _PARTICIPLES or (word.endswith("ed") and word not in _NOT_PAST)


def base_of_gerund(gerund: str) -> str | None:
    """Return the verb of an "-ing" form, or None if no table lists it.

    >>> [base_of_gerund(word) for word in ("smoking", "running", "playing", "morning")]
    ['smoke', 'run', 'play', None]
    """
    stem = gerund.removesuffix("ing")
    if stem == gerund:
        return None
    undoubled = stem[:-1] if stem[-2:-1] == stem[-1:] else stem
    return next((base for base in (stem, stem + "e", undoubled) if base in BASE_FORMS), None)


def _conjugate(verb: str, clause: str) -> str | None:
    """Return a verb after "I" as it follows a name, or None if the verb is unknown."""
    if verb in _THIRD_PERSON:
        return _THIRD_PERSON[verb]
    if verb in _MODALS or verb in _AUXILIARIES:
        return verb
    if verb in _UNCHANGED and not _HABITUAL.search(clause):
        return verb
    if verb in BASE_FORMS:
        return third_person(verb)
    return verb if is_past(verb) else None


# ---- the third person

_SLURRED = {"gonna": "going to", "wanna": "want to"}
_POSSESSIVES = frozenset(("my", "mine", "your", "yours", "our", "ours"))
_REFLEXIVES = {"myself": "themself", "yourself": "themself", "ourselves": "themselves"}
_PLURAL_CONTRACTIONS = {"'re": "are", "'ve": "have", "'ll": "will", "'m": "are"}
_CONTRACTIONS = {"'m": "is", "'re": "is", "'ve": "has", "'ll": "will"}
_PRONOUNS = _POSSESSIVES | wordset("i me myself we us ourselves you yourself yourselves")
# words with inner apostrophes and hyphens, white space, and every other character alone
_TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|\s+|.", re.DOTALL)
# what follows a second verb: "lives and works at"; a noun is followed by other words
_COMPLEMENTS = wordset(
    "a an the my to at in for with as on it them there about every from him her out up"
)
_TASTE_VERBS = wordset("dislike enjoy hate love prefer")  # need no complement: "ski and love snow"
_BEFORE_OBJECT = wordset("with to from for at of")  # "with you": no subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    """Whom "I" and "you" mean in a turn; `listener` is None where that is unknown."""

    speaker: str
    listener: str | None = None


def to_third_person(clause: str, participants: Participants) -> str | None:
    """Return a clause that begins with "I", "we" or "my" in the third person, or None.

    None means that a word cannot be converted: an unknown verb, or a "you" without a listener.

    >>> to_third_person("I live in Oslo and work at my uncle's", Participants(speaker="Ann"))
    "Ann lives in Oslo and works at Ann's uncle's"
    >>> to_third_person("I've met your sister", Participants(speaker="Ann", listener="Bob"))
    "Ann has met Bob's sister"
    """
    return _Conversion(clause, participants).run()


class _Conversion:
    """The state of converting one clause to the third person, token by token."""

    def __init__(self, clause: str, participants: Participants) -> None:
        self._clause = clause
        self._tokens = [token if token.strip() else " " for token in _TOKEN.findall(clause)]
        self._participants = participants
        self._joint_subject = bool(re.match(r"[\w' ]+ and I ", clause))  # "my sister and I "
        self._plural = self._joint_subject or bool(re.match(r"we\b", clause, re.IGNORECASE))
        self._expects_verb = False  # an "I" waits for its verb
        self._present = False  # the last verb took an "-s"
        self._failed = False

    def run(self) -> str | None:
        text = "".join(self._token(n, token) for n, token in enumerate(self._tokens))
        failed = self._failed or self._expects_verb
        return None if failed else re.sub(r" {2,}", " ", text).strip()

    def _token(self, n: int, token: str) -> str:
        low = token.lower()
        pronoun, contraction = _split_pronoun(low)
        if pronoun:
            return self._pronoun(n, pronoun, contraction)
        if not token[0].isalpha():
            return token
        if low in _SLURRED:
            return self._slurred(low)
        if self._expects_verb:
            return self._verb(token)
        if self._present and self._is_coordinated(n, low):
            return third_person(low)
        if low == "to" or low in _MODALS:
            self._present = False  # "wants to stay and work": an infinitive
        return token

    def _pronoun(self, n: int, pronoun: str, contraction: str) -> str:
        name = self._referent(pronoun)
        is_subject = pronoun == "i" or (pronoun == "you" and self._clause.lower().startswith("you"))
        is_object = n > 1 and self._tokens[n - 2].lower() in _BEFORE_OBJECT
        unclear = pronoun == "you" and not is_subject and not is_object
        if name is None or contraction == "'d" or unclear:  # "I'd": "had" or "would"
            self._failed = True
            return ""
        if pronoun in _POSSESSIVES:
            return "their" if pronoun == "our" and self._plural else f"{name}'s"
        if pronoun in _REFLEXIVES:
            return _REFLEXIVES[pronoun]
        if pronoun == "we":
            return f"{name} {_PLURAL_CONTRACTIONS[contraction]}" if contraction else name
        if is_subject:
            self._expects_verb, self._present = not contraction, contraction in {"'m", "'ve"}
        return f"{name} {_CONTRACTIONS[contraction]}" if contraction else name

    def _referent(self, pronoun: str) -> str | None:
        if pronoun.startswith("you"):
            return self._participants.listener
        if pronoun in {"we", "us", "ourselves"}:
            return f"{self._participants.speaker} and others"
        return self._participants.speaker

    def _verb(self, token: str) -> str:
        low = token.lower()
        if self._joint_subject:
            self._joint_subject = self._expects_verb = False
            return token
        if low in ADVERBS or low in {"and", "no", "longer"}:
            return "" if low in _EMPHATIC else token
        self._expects_verb = False
        verb = _conjugate(low, self._clause)
        if verb is None:
            self._failed = True
            return ""
        self._present = low in BASE_FORMS and verb != low
        return verb

    def _slurred(self, low: str) -> str:
        verb, _, particle = _SLURRED[low].partition(" ")
        self._present = False
        if self._expects_verb:
            self._expects_verb = False
            verb = third_person(verb)
        return f"{verb} {particle}"

    def _is_coordinated(self, n: int, low: str) -> bool:
        """Return whether a word is the second verb of "lives and works at"."""
        if low not in BASE_FORMS or n < 2 or n + 2 >= len(self._tokens):
            return False
        return self._tokens[n - 2].lower() in {"and", "or", "but", "then"} and (
            low in _TASTE_VERBS or self._tokens[n + 2].lower() in _COMPLEMENTS
        )


def _split_pronoun(low: str) -> tuple[str, str]:
    """Return the pronoun and the contraction of a word such as "i've", or two empty strings."""
    word, apostrophe, ending = low.partition("'")
    if word not in _PRONOUNS:
        return "", ""
    contraction = apostrophe + ending
    if contraction and (
        contraction not in {*_CONTRACTIONS, "'d"} or word not in {"i", "we", "you"}
    ):
        return "", ""
    return word, contraction
