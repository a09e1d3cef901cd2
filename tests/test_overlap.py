"""lib.overlap: likeness by runs of three words, and the index that finds the most alike text."""

import random

from lib.overlap import Index, jaccard, nearest, ngrams

WORDS = ("move", "the", "old", "note", "to", "its", "folder", "and", "tell", "me", "what", "it", "said")


def sentences(count, seed):
    rng = random.Random(seed)
    return [" ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 9))) for _ in range(count)]


def test_the_index_finds_what_comparing_all_finds():
    corpus, asked = sentences(60, 1), sentences(40, 2)
    for found in nearest(asked, corpus):
        best = max(jaccard(ngrams(found.text), ngrams(other)) for other in corpus)
        assert found.likeness == best
        assert not found.other or jaccard(ngrams(found.text), ngrams(found.other)) == best


def test_a_text_added_later_is_found():
    index = Index(["Read me the plan for May"])
    assert index.nearest("Where do the keys hang today?").other == ""
    index.add("Where do the keys hang now?")
    found = index.nearest("where do the keys hang today")
    assert (found.other, found.likeness) == ("Where do the keys hang now?", 0.6)


def test_of_equals_the_first_is_named():
    index = Index(["Read me the plan!", "read me the plan"])
    assert index.nearest("Read me the plan").other == "Read me the plan!"
