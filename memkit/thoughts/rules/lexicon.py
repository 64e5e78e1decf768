"""Tables of English words that the rules read by. Data only; closed classes and common verbs."""


def wordset(text: str) -> frozenset[str]:
    """Return the words of a text that is a list of them."""
    return frozenset(text.split())


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
IRREGULAR = {
    base: (past, participle)
    for base, past, participle in (row.split() for row in _IRREGULAR_VERBS.split(","))
}
REGULAR = wordset("""
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
BASE = REGULAR | frozenset(IRREGULAR)
_SAME = frozenset(base for base, forms in IRREGULAR.items() if base == forms[0])
PAST = frozenset(forms[0] for forms in IRREGULAR.values())
PARTICIPLE = frozenset(forms[1] for forms in IRREGULAR.values()) | {"got"}
EITHER = _SAME  # "put", "read": present and past alike
NOT_PAST = wordset("need feed speed succeed proceed exceed bleed breed embed")

ADVERBS = wordset("""
also just really recently finally actually always never still already usually often currently now
only even totally definitely absolutely simply sometimes rarely occasionally once regularly mostly
typically normally generally truly originally initially eventually ultimately officially basically
literally kinda honestly personally both barely hardly lately previously not quickly easily
successfully proudly happily luckily unfortunately fortunately thankfully frequently primarily
""")
DROPPED = wordset("""also actually totally definitely absolutely simply literally basically honestly
kinda truly even""")
# what can be left out without saying another thing
NEUTRAL = ADVERBS - wordset(
    "not never barely hardly rarely sometimes occasionally once only previously"
)
MODALS = wordset("would could should might may must shall can cannot can't will won't ought")

# "I think", "I hope": says what goes on in a mind, or is polite
MENTAL = wordset("""
think guess hope wish mean believe feel know understand agree appreciate wonder suppose bet
imagine assume swear promise apologise apologize doubt forget remember want expect consider admire
thank suggest recommend say tell ask worry care tend try seem look sound let need come
thought guessed hoped wished meant believed felt knew understood agreed appreciated wondered
supposed figured imagined assumed forgot remembered wanted expected considered said told asked
realized realised noticed figured mentioned thanked suggested recommended admired worried tried
seemed looked sounded doubted needed came
""")
# of "I'm glad", "I'm looking for": what says nothing of a life
EMPTY_STATES = wordset("""
glad happy sorry excited sure proud grateful thankful ready here there stoked thrilled pleased
curious interested afraid worried confident aware certain fine good great ok okay well back
looking thinking wondering trying hoping considering going talking saying asking feeling
so pretty very quite too super really done all up down like kind sort lucky blessed fortunate
determined impressed amazed surprised confused concerned able unable open keen eager inspired
positive motivated happy honored touched game flexible familiar unsure hesitant torn just still
getting having leaning struggling not always definitely totally
""")
KIN = wordset("""
sister brother mother father mom mum dad mama papa wife husband partner girlfriend boyfriend fiance
fiancé fiancee fiancée son daughter kid kids child children baby twins cousin uncle aunt nephew
niece grandma grandmother grandpa grandfather grandson granddaughter parents siblings roommate
flatmate friend friends buddy neighbor neighbour boss manager coworker colleague teacher mentor
coach doctor therapist dentist dog cat puppy kitten bird parrot horse rabbit hamster stepson
stepdaughter stepmother stepfather stepsister stepbrother godson goddaughter bestie ex
""")
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
PRONOUNS = wordset("it he she they him her them his its their hers theirs one ones")
NUMBERS = {
    word: n
    for n, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
}
ORDINALS = {
    word: n
    for n, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
        ],
        start=1,
    )
}
# capitalised at the beginning of a sentence and yet no one's name
NOT_NAMES = wordset("""
a an the this that these those it he she they we i you my your our his her its their there here
what who when where why how which yes no yeah yep nope ok okay well so and but or also just maybe
perhaps then now today yesterday tomorrow tonight monday tuesday wednesday thursday friday saturday
sunday january february march april may june july august september october november december
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
EVENTS = wordset("""
meeting flight appointment interview exam test call class session game match concert show wedding
party trip vacation holiday deadline reservation booking date dinner lunch checkup surgery race
tournament conference presentation performance
""")
