"""The evaluation card: any memory, any model, scored in every layer, with intervals.

A card is data sets × systems × regimes × scores. `config` says what is measured, `task` orders the
questions of one conversation, `ask` makes a `Record` of each, `aggregate` computes figures from
records, `audit` checks whether they can be believed, `report` shows them.
"""
