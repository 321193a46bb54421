"""What stands in the rooms of the template database."""

ROOMS = 40
GREETING = "Good morning!"
GREETING_ANSWER = "您好！请问您要喝点什么？"
SHOWCASE = (
    "Show me everything, "
    + "https://example.org/"
    + "a-very-long-path/" * 12
    + " <b onclick=alert(1)>not bold</b>",
    """# A heading

A paragraph with **strong** and `code`, and 한국어 문장 하나, and
Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft.

| drink | price | size | milk | sugar | temperature | remark |
|---|---:|---|---|---|---|---|
| americano | 27 | large | none | none | hot | the usual one, with a long remark behind it |
| latte | 32 | medium | oat | brown | iced | 얼음은 조금만 넣어 주세요 |

```python
def a_long_line(of_code, that_does_not, fit_on_a_phone, whatever_one_does): return "scrolls inside"
```

> A quotation.

1. one
2. two
""",
)
