#!/bin/sh
# langchain-community 0.4.2 (PyPI) with SQLAlchemy 2.1.9, which its metadata allows (<3.0.0): the class
# SQLChatMessageHistory cannot be imported, not even for a synchronous engine. Its module imports
# sqlalchemy.ext.asyncio unconditionally, which in 2.1 needs greenlet at once; SQLAlchemy 2.1 installs that with
# its extra `asyncio` only (https://docs.sqlalchemy.org/en/21/faq/installation.html), and langchain-community
# does not ask for the extra. Installing greenlet is the way round.
# Prints the outcome without and with greenlet; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet langchain-community==0.4.2 SQLAlchemy==2.1.9

outcome() {
    "$folder/env/bin/python" -W ignore - <<'PYTHON'
try:
    from langchain_community.chat_message_histories import SQLChatMessageHistory

    history = SQLChatMessageHistory("session", connection="sqlite://")
    history.add_user_message("Hello")
    print(len(history.messages), "message")
except ImportError as error:
    print("ImportError", "greenlet" if "greenlet" in str(error) else error)
PYTHON
}

without=$(outcome)
"$folder/env/bin/python" -m pip install --quiet greenlet==3.5.6
with=$(outcome)
echo "SQLChatMessageHistory without greenlet: [$without] with greenlet: [$with]"
test "$without" = "ImportError greenlet" && test "$with" = "1 message"
