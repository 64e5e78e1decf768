#!/bin/sh
# presidio-analyzer 2.2.366 (PyPI), predefined recognisers: the first text with an e-mail address makes it fetch
# the public suffix list from the internet, because EmailRecognizer checks the domain with `tldextract.extract`
# (5.4.0), which does that unless it has a cached list. Presidio has no setting for it. If neither address
# answers, tldextract takes its own copy and caches that, so it tries once for each cache folder. Putting
# a TLDExtract without addresses in the place of `tldextract.extract` prevents it; the result is the same.
# Prints the addresses asked for, with requests' sending replaced (nothing is sent); fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet presidio-analyzer==2.2.366 tldextract==5.4.0 spacy==3.8.18
env TLDEXTRACT_CACHE="$folder/cache" "$folder/env/bin/python" - <<'PYTHON'
import logging
from importlib.metadata import version

import requests
import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine

logging.disable()
asked = []


def refuse(adapter, request, **options):
    asked.append(request.url)
    raise requests.ConnectionError("refused by this script")


requests.adapters.HTTPAdapter.send = refuse


class BlankEngine(SpacyNlpEngine):
    def load(self):
        self.nlp = {"en": spacy.blank("en")}


engine = BlankEngine()
engine.load()
registry = RecognizerRegistry()
registry.load_predefined_recognizers()
analyzer = AnalyzerEngine(nlp_engine=engine, registry=registry)


def ask(text):
    asked.clear()
    found = [result.entity_type for result in analyzer.analyze(text, language="en")]
    return "EMAIL_ADDRESS" in found, [url.split("/")[2] for url in asked]


without = ask("The train leaves at noon.")
first = ask("Write to ann@example.com.")
second = ask("Write to bob@example.org.")
tldextract.extract = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())
replaced = ask("Write to ann@example.com.")
print(f"presidio-analyzer {version('presidio-analyzer')}, (address found, hosts asked):")
print(f"no address {without}, first {first}, second {second}, without addresses {replaced}")
assert without == (False, [])
assert first == (True, ["publicsuffix.org", "raw.githubusercontent.com"])
assert second == replaced == (True, [])
PYTHON
