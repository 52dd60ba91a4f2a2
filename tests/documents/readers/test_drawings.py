"""Charts and diagrams of slides and documents."""

import itertools

from app.documents.readers import docx, pptx
from tests.support.office import SPACES, document, packed


def strings(tag: str, *values: str) -> str:
    points = "".join(f'<c:pt idx="{index}"><c:v>{value}</c:v></c:pt>' for index, value in enumerate(values) if value)
    return f"<c:{tag}><c:strRef><c:f>A1</c:f><c:strCache>{points}</c:strCache></c:strRef></c:{tag}>"


def numbers(tag: str, *values: str, code: str = "General") -> str:
    points = "".join(f'<c:pt idx="{index}"><c:v>{value}</c:v></c:pt>' for index, value in enumerate(values) if value)
    cache = f"<c:numCache><c:formatCode>{code}</c:formatCode>{points}</c:numCache>"
    return f"<c:{tag}><c:numRef><c:f>A1</c:f>{cache}</c:numRef></c:{tag}>"


def chart(*series: str, title: str = "", more: str = "") -> str:
    named = (
        f"<c:title><c:tx><c:rich><a:p><a:r><a:t>{title}</a:t></a:r></a:p></c:rich></c:tx></c:title>" if title else ""
    )
    plot = "".join(f"<c:ser>{each}</c:ser>" for each in series)
    return f"<c:chartSpace {SPACES}>{more}<c:chart>{named}<c:plotArea>{plot}</c:plotArea></c:chart></c:chartSpace>"


def slide(graphic: str, **parts: str) -> list[str]:
    """The texts of a presentation whose only slide shows a graphic."""
    frame = f"<p:graphicFrame><a:graphic><a:graphicData>{graphic}</a:graphicData></a:graphic></p:graphicFrame>"
    relations = "".join(f'<R Id="{name}" Type="t/{name}" Target="/ppt/other/{name}.xml"/>' for name in parts)
    files = {
        "ppt/presentation.xml": f'<p:x {SPACES}><p:sldIdLst><p:sldId r:id="slide1"/></p:sldIdLst></p:x>',
        "ppt/slide1.xml": f"<p:sld {SPACES}><p:cSld><p:spTree>{frame}</p:spTree></p:cSld></p:sld>",
        "ppt/_rels/slide1.xml.rels": f"<Relationships>{relations}</Relationships>",
        **{f"ppt/other/{name}.xml": text for name, text in parts.items()},
    }
    return [page.text for page in pptx.read(packed("ppt/presentation.xml", files))]


def test_a_chart_is_a_table_of_categories_and_series() -> None:
    first = strings("tx", "2024") + strings("cat", "Vestland", "Agder") + numbers("val", "41.5", "0.25", code="0%")
    second = strings("tx", "2025") + strings("cat", "Vestland", "Agder") + numbers("val", "", "17.25")
    assert slide('<c:chart r:id="c"/>', c=chart(first, second, title="Turnover")) == [
        "| Turnover | 2024 | 2025 |\n| Vestland | 4150% |\n| Agder | 25% | 17.25 |"
    ]


def test_series_with_other_categories_have_tables_of_their_own() -> None:
    near = strings("tx", "near") + numbers("xVal", "0.5", "1.5") + numbers("yVal", "7", "8")
    far = strings("tx", "far") + numbers("xVal", "9.5") + numbers("yVal", "1") + numbers("bubbleSize", "30")
    assert slide('<c:chart r:id="c"/>', c=chart(near, far)) == [
        "",
        "| Chart | near |\n| 0.5 | 7 |\n| 1.5 | 8 |",
        "| Chart | far | far |\n| 9.5 | 1 | 30 |",
    ]


def test_dates_and_levels_of_categories_are_shown() -> None:
    dates = numbers("cat", "37261", "37262", code="[$-409]d\\-mmm\\-yy;@") + numbers("val", "1", "2")
    late = '<c:date1904 val="1"/>'
    assert slide('<c:chart r:id="c"/>', c=chart(dates)) == [
        "| Chart | Series 1 |\n| 2002-01-05 | 1 |\n| 2002-01-06 | 2 |"
    ]
    assert "| 2006-01-06 | 1 |" in slide('<c:chart r:id="c"/>', c=chart(dates, more=late))[0]
    point = '<c:pt idx="{}"><c:v>{}</c:v></c:pt>'
    inner = "".join(itertools.starmap(point.format, enumerate("abc")))
    outer = point.format(0, "US") + point.format(2, "UK")
    cache = f"<c:multiLvlStrCache><c:lvl>{inner}</c:lvl><c:lvl>{outer}</c:lvl></c:multiLvlStrCache>"
    levels = f"<c:cat><c:multiLvlStrRef>{cache}</c:multiLvlStrRef></c:cat>"
    (text,) = slide('<c:chart r:id="c"/>', c=chart(levels + numbers("val", "1", "2", "3")))
    assert text == "| Chart | Series 1 |\n| US a | 1 |\n| US b | 2 |\n| UK c | 3 |"


def test_kinds_of_chart_since_office_2016_are_read() -> None:
    steps = '<c:strDim type="cat"><c:lvl><c:pt idx="0">Leads</c:pt><c:pt idx="1">Sales</c:pt></c:lvl></c:strDim>'
    sums = '<c:numDim type="val"><c:lvl><c:pt idx="0">90</c:pt><c:pt idx="1">7</c:pt></c:lvl></c:numDim>'
    data = f'<c:chartData><c:data id="0">{steps}{sums}</c:data></c:chartData>'
    named = "<c:tx><c:txData><c:f>B1</c:f><c:v>Funnel</c:v></c:txData></c:tx>"
    series = f'<c:series>{named}<c:dataId val="0"/></c:series>'
    funnel = f"<c:chartSpace {SPACES}>{data}<c:chart>{series}</c:chart></c:chartSpace>"
    assert slide('<c:chart r:id="c"/>', c=funnel) == ["| Chart | Funnel |\n| Leads | 90 |\n| Sales | 7 |"]


def diagram() -> str:
    """A chart of an organisation: Bo and Cy, in this order, below Ann; Di below Bo."""
    texts = {"0": "", "3": "Cy", "1": "Ann", "2": "Bo", "4": "Di"}
    points = "".join(
        f'<dgm:pt modelId="{i}"><dgm:t><a:p><a:t>{t}</a:t></a:p></dgm:t></dgm:pt>' for i, t in texts.items()
    )
    shown = '<dgm:pt modelId="9" type="pres"><dgm:t><a:p><a:t>Ann</a:t></a:p></dgm:t></dgm:pt>'
    links = "".join(
        f'<dgm:cxn srcId="{above}" destId="{below}" srcOrd="{order}"/>'
        for above, below, order in (("1", "3", 1), ("1", "2", 0), ("0", "1", 0), ("2", "4", 0))
    )
    links += '<dgm:cxn type="presOf" srcId="4" destId="9" srcOrd="0"/>'
    inner = f"<dgm:ptLst>{points}{shown}</dgm:ptLst><dgm:cxnLst>{links}</dgm:cxnLst>"
    return f"<dgm:dataModel {SPACES}>{inner}</dgm:dataModel>"


def test_a_diagram_is_a_list_in_its_order() -> None:
    assert slide('<dgm:relIds r:dm="d"/>', d=diagram()) == ["- Ann\n  - Bo\n    - Di\n  - Cy"]


def test_charts_and_diagrams_of_documents_follow_their_paragraph() -> None:
    data = strings("tx", "Sum") + strings("cat", "May") + numbers("val", "5")
    drawn = "<w:p><w:r><w:t>{}</w:t><w:drawing><a:graphicData>{}</a:graphicData></w:drawing></w:r></w:p>"
    body = drawn.format("Before", '<c:chart r:id="chart"/>') + drawn.format("After", '<dgm:relIds r:dm="data"/>')
    parts = {"chart": chart(data), "data": diagram()}
    (page,) = docx.read(document(body, **parts))
    assert page.text == "Before\n\n| Chart | Sum |\n| May | 5 |\n\nAfter\n\n- Ann\n  - Bo\n    - Di\n  - Cy"


def test_a_missing_chart_is_left_out() -> None:
    cell = "<a:tc><p:txBody><a:p><a:r><a:t>x</a:t></a:r></a:p></p:txBody></a:tc>"
    assert slide(f'<c:chart r:id="gone"/><a:tbl><a:tr>{cell}</a:tr></a:tbl>') == ["| x |"]
