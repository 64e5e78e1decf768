"""The evaluation card: any memory, any model, scored in every layer, with intervals.

Task = data × system × regime × score. `config` says what is run, `unit` asks one system about one
conversation in one regime and keeps a `Record` per question, `layers` makes figures of records,
`govern` says what may be believed of them, `report` shows them.
"""
