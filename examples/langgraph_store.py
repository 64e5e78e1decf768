"""Use a memory as LangGraph's long-term store: items are searched by meaning, in chats too."""

from typing import TypedDict

from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore

import memkit
from memkit.integrations.langgraph import MemkitStore


class Dinner(TypedDict):
    """The state of the graph."""

    guest: str
    question: str
    answer: str


def look_up(state: Dinner, *, store: BaseStore) -> dict[str, str]:
    """Answer from the guest's notes."""
    items = store.search((state["guest"], "preferences"), query=state["question"], limit=1)
    return {"answer": items[0].value["text"] if items else "nothing noted"}


def main() -> None:
    """Note two facts about Ann, ask the graph about her and Bob, and recall a fact outside it."""
    with memkit.open(":memory:") as memory:
        store = MemkitStore(memory)
        store.put(("ann", "preferences"), "food", {"text": "Ann likes her curry very hot."})
        store.put(("ann", "preferences"), "seat", {"text": "Ann sits by the window."})

        builder = StateGraph(Dinner)
        builder.add_node("look_up", look_up)
        builder.add_edge(START, "look_up")
        graph = builder.compile(store=store)
        for guest in ("ann", "bob"):
            state: Dinner = {"guest": guest, "question": "How spicy shall it be?", "answer": ""}
            print(f"{guest}: {graph.invoke(state)['answer']}")

        (hit,) = memory.recall("How spicy shall dinner be?", user_id="ann", k=1)
        print(f"recalled in a chat: {hit.text}")


if __name__ == "__main__":
    main()
