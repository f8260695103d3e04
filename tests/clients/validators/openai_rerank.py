"""/v1/rerank, in the form that Jina, Cohere and llama.cpp share. Returns the indexes, best first."""

from . import openai
from .rules import count, must, name, number, objects, parse_object, the


def check_whole(raw, asked):
    answer = parse_object(raw, "the answer")
    name(answer, "model", "the answer")
    openai.check_usage(answer, asked, "the answer", prompt=False)
    results = objects(answer, "results", "the answer")
    documents = len(asked["documents"])
    wanted = min(asked.get("top_n") or documents, documents)
    must(len(results) == wanted, f"{len(results)} results, {wanted} were asked for")
    indexes = [count(result, "index", "a result") for result in results]
    must(len(set(indexes)) == len(indexes) and max(indexes) < documents,
         f"the indexes are not of the documents: {indexes}")
    scores = [number(the(result, "relevance_score", "a result"), "a score") for result in results]
    must(scores == sorted(scores, reverse=True), f"the best must come first: {scores}")
    return indexes
