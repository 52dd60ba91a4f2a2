"""Make the sample corpus's PDF, the workshop handbook; needs reportlab, and the same version gives the same bytes.

Usage: python scripts/make_handbook.py [FILE]      FILE is corpus/workshop-handbook.pdf unless given
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    ListFlowable,
    ListItem,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

TARGET = Path(__file__).resolve().parents[1] / "corpus" / "workshop-handbook.pdf"
TITLE = "Local AI Workshop: Handbook"

INK, ACCENT, PALE, LINE, GREY = (HexColor(c) for c in ("#1d2733", "#0f6e6e", "#eaf3f2", "#c5d6d5", "#66727e"))
MARGIN = 20 * mm
WIDTH = A4[0] - 2 * MARGIN

BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=11, leading=16, textColor=INK, spaceAfter=6)
ITEM = ParagraphStyle("item", BODY, leading=17.5, spaceAfter=0)
CELL = ParagraphStyle("cell", BODY, fontSize=10.2, leading=13.8, spaceAfter=0)
HEAD = ParagraphStyle("head", CELL, fontName="Helvetica-Bold", textColor=white)
LEAD = ParagraphStyle("lead", BODY, fontSize=12, leading=17.5, textColor=GREY, spaceAfter=10)
H1 = ParagraphStyle("h1", BODY, fontName="Helvetica-Bold", fontSize=22, leading=28, textColor=ACCENT, spaceAfter=6)
H2 = ParagraphStyle("h2", H1, fontSize=13.5, leading=18, spaceBefore=16, spaceAfter=6)
COVER = ParagraphStyle("cover", H1, fontSize=28, leading=34, textColor=white, spaceAfter=2)
COVER_SUB = ParagraphStyle("cover-sub", BODY, fontSize=12.5, leading=17, textColor=PALE, spaceAfter=0)
TIME = ParagraphStyle("time", CELL, alignment=TA_RIGHT, textColor=GREY)
CELLS = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LINEBELOW", (0, 0), (-1, -2), 0.5, LINE),
    ("TOPPADDING", (0, 0), (-1, -1), 5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 7),
]

GLANCE = [
    ("Doors open", "8:30, with help for the installation"),
    ("Start and end", "9:00 to 16:30"),
    ("Breaks", "10:30 and 14:45, 15 minutes each; lunch from 12:15 to 13:15"),
    ("Group", "up to 16 participants, two to a computer, and two trainers"),
    ("You should know", "how to open a command line and a browser; programming is not needed"),
    ("You need no", "account, cloud service or network, once the models are downloaded"),
]

GOALS = [
    "say what a small language model does well and where it needs a larger one;",
    "compute a BM25 score by hand and explain why a passage was found;",
    "read a decision of the chat: why an answer was kept, and why another was escalated;",
    "check a citation before you rely on it;",
    "work out what a question costs in seconds, watt-hours and cents.",
]

BEFORE = [
    "Clone the project, install it and start it once. Ask one of the sample questions.",
    "Download phi-4-mini and, if your computer has the memory, gpt-oss-20b (about 12 GB).",
    "Do both at home: sixteen downloads at once are too much for most wireless networks.",
    "Bring two or three documents of your own, as PDF or text, without personal data.",
]

AGENDA = [
    ("8:30 – 9:00", "Arrival", "Help with the installation; models from the USB stick", "page 3"),
    ("9:00 – 9:30", "Welcome", "Aims, room rules, a first question", "page 3"),
    ("9:30 – 10:30", "Small and large", "What each can do; exercise 1", "small-and-large-models.md"),
    ("10:30 – 10:45", "Break", "", ""),
    ("10:45 – 12:15", "Searching", "Exercise 2; then your own documents", "bm25.md, rag.md"),
    ("12:15 – 13:15", "Lunch", "", ""),
    ("13:15 – 14:45", "Escalation", "Reasons, limits; exercises 3 and 4", "escalation.md"),
    ("14:45 – 15:00", "Break", "", ""),
    ("15:00 – 15:45", "Local or cloud", "The blended calculation; exercise 5", "local-or-cloud.md"),
    ("15:45 – 16:15", "Break it", "Exercise 6; each pair shows a failure", "all"),
    ("16:15 – 16:30", "Close", "Surprises, and what to try at work", ""),
]

TIMING = [
    "Searching gets as much time as escalation, because most failures begin in the search.",
    "Short of time? Leave out exercise 5 and hand it out as homework. Never leave out exercise 6.",
    "Time left? Let a pair present its own documents with two good questions and one bad one.",
    "Lunch is fixed. Everything else may move by ten minutes.",
]

RULES = [
    "Ask at any time. Nobody is expected to know any of this.",
    "No personal data: no customer lists, no sick notes, no letters with names.",
    "Drinks only in closed bottles near the computers; food stays outside the room.",
    "Cables run along the walls. Whoever lays one across the floor tapes it down.",
    "Before you photograph a screen, ask the people who sit at it.",
    "The trainers show the emergency exits at the start of the day.",
]

SETUP = [
    "Put the tables in islands of two pairs, so that the trainers can walk behind every screen.",
    "Start the chat on the trainer machine before 9:00 and ask one question with each model, so that both have run.",
    "Read the projected answer from the last row. If you cannot, enlarge the text in the browser.",
    "Unplug the network for a minute and ask again. What fails now would fail during the workshop.",
]

EQUIPMENT = [
    ("Trainer machine", "1", "32 GB of memory, both models downloaded and tried"),
    ("Computers for pairs", "8", "phi-4-mini downloaded; gpt-oss-20b where it fits"),
    ("USB sticks", "2", "installers, the corpus, and the model cache folder with foundry.modelinfo.json"),
    ("Power strips", "4", "six sockets each; all computers run on mains power"),
    ("Projector", "1", "with an HDMI cable and an adapter for USB-C"),
    ("Pocket calculators", "8", "with a key for ln, for exercise 2; a telephone will do"),
    ("Plug-in power meter", "1", "for exercise 5"),
    ("Paper, pens, sticky notes", "plenty", "failures are collected on sticky notes on the wall"),
]

TROUBLE = [
    (
        "The chat says that no model was found.",
        "Nothing is downloaded yet, or the address in the settings is wrong.",
        "Run <b>escalator doctor</b>. Until a model is there, the chat quotes sentences; go on with those.",
    ),
    (
        "A participant's own script gets error 404, “Model not found”.",
        "The alias was sent as the name of the model.",
        "Send the full id with its version, such as Phi-4-mini-instruct-generic-cpu:5.",
    ),
    (
        "Yesterday's server address is dead.",
        "The port changes when the server starts again.",
        "Ask <b>foundry server status</b>, or unset FOUNDRY_LOCAL_ENDPOINT.",
    ),
    (
        "“Unknown command: 'service'”",
        "The command line tool is of the newer generation.",
        "Say <b>foundry server</b> in place of <b>foundry service</b>.",
    ),
    (
        "A model from the USB stick does not show up.",
        "The file foundry.modelinfo.json was not copied with it.",
        "Copy it into the model cache folder and start again.",
    ),
    (
        "The first word takes very long.",
        "The model is being loaded, or the prompt is being read (prefill).",
        "Close other programs. Ask a second question: it shows the time without loading.",
    ),
    (
        "The computer crawls once the large model is asked.",
        "The memory is full.",
        "Stay with phi-4-mini there and send hard questions to the trainer machine.",
    ),
    (
        "A new document is never found.",
        "It is a scan without text, or it uses other words than the question.",
        "Try to select text in it. If that works, ask with the words of the document.",
    ),
    (
        "The browser exercise finds no WebGPU.",
        "A plain network address is not a secure context.",
        "Serve the page on that computer and open http://127.0.0.1.",
    ),
]

HELPING = [
    "Leave the fault on the screen until everybody at the table has read it.",
    "After ten minutes without success the pair moves to another computer. The repair can wait for the break.",
    "Write symptom and remedy on a sticky note. The next workshop will be glad of it.",
]

EXERCISES = [
    (
        "1 · Same question, two models",
        "20 minutes",
        "Ask for a fact, first with Small, then with Large; then for an explanation. Note time and quality.",
        "you can name a question for which the small model is enough, and one for which it is not.",
    ),
    (
        "2 · A score by hand",
        "30 minutes",
        "Compute the scores of A and B in bm25.md for “ferry tickets”, with b = 0.75 and b = 0.",
        "your numbers agree with your neighbours', and you can say why only B has changed.",
    ),
    (
        "3 · Provoke a reason",
        "25 minutes",
        "Find a question that ends with the code short, one with abstained, and one that finds nothing.",
        "each code stands on a sticky note together with its question.",
    ),
    (
        "4 · Judge the judge",
        "30 minutes",
        "Ask ten questions about your own documents. Mark each answer good or bad, each decision right or wrong.",
        "you know how many bad answers were kept, and how many good ones escalated.",
    ),
    (
        "5 · What does a question cost?",
        "25 minutes",
        "Repeat the calculation of local-or-cloud.md with your own times, watts and prices.",
        "you have a blended time, an energy and a price, each with its unit.",
    ),
    (
        "6 · Break it",
        "20 minutes",
        "Write a short document that makes the chat answer wrongly and cite correctly.",
        "your neighbours believe the answer until they open the citation.",
    ),
]


def main() -> None:
    """Write the handbook to the file named on the command line."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    document = BaseDocTemplate(
        str(target),
        pagesize=A4,
        title=TITLE,
        author="Escalator",
        subject="Agenda, room, equipment, troubleshooting, exercises",
        lang="en-GB",
        invariant=1,  # no time stamp and no random id, so that a rebuild changes nothing
    )
    pages = [welcome(), agenda(), room(), troubleshooting(), exercises()]
    story = [part for page in pages for part in (*page, PageBreak())][:-1]
    frame = Frame(MARGIN, 18 * mm, WIDTH, A4[1] - 36 * mm, leftPadding=0, bottomPadding=0, rightPadding=0, topPadding=0)
    # The footer is drawn last, so that the extracted text of a page begins with its heading.
    document.addPageTemplates(PageTemplate(frames=[frame], onPageEnd=footer))
    document.build(story)


def welcome() -> list[Flowable]:
    """Page 1: what the day is, what to bring, what to take home."""
    title = [Paragraph("Local AI Workshop", COVER), Paragraph("A handbook for trainers and participants", COVER_SUB)]
    banner = Table([[title]], colWidths=[WIDTH])
    banner.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), ACCENT),
                ("ROUNDEDCORNERS", [6, 6, 6, 6]),
                ("LEFTPADDING", (0, 0), (-1, -1), 16),
                ("TOPPADDING", (0, 0), (-1, -1), 14),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 18),
            ]
        )
    )
    glance = Table(
        [[Paragraph(f"<b>{k}</b>", CELL), Paragraph(v, CELL)] for k, v in GLANCE], [34 * mm, WIDTH - 34 * mm]
    )
    glance.setStyle(TableStyle([*CELLS, ("BACKGROUND", (0, 0), (-1, -1), PALE), ("ROUNDEDCORNERS", [4, 4, 4, 4])]))
    return [
        banner,
        Spacer(0, 14),
        Paragraph(
            "One day with a small and a large language model on your own computer. You ask questions about documents, "
            "watch the search find passages, and see when a small model hands over to a large one.",
            LEAD,
        ),
        Paragraph("The workshop at a glance", H2),
        glance,
        Paragraph("What you will be able to do", H2),
        Paragraph("At the end of the day you can", BODY),
        items(GOALS),
        Paragraph("Before the day", H2),
        items(BEFORE, numbered=True),
    ]


def agenda() -> list[Flowable]:
    """Page 2: the times."""
    rows = [
        [Paragraph(time, CELL), Paragraph(f"<b>{block}</b>", CELL), Paragraph(what, CELL), Paragraph(material, CELL)]
        for time, block, what, material in AGENDA
    ]
    pauses = [number for number, row in enumerate(AGENDA, start=1) if not row[2]]
    shaded = [("BACKGROUND", (0, number), (-1, number), PALE) for number in pauses]
    return [
        Paragraph("Agenda", H1),
        Paragraph("Each block has the same rhythm: a short talk, an exercise in pairs, a look back.", LEAD),
        table(["Time", "Block", "What happens", "Material"], rows, [28, 31, 62, 49], shaded),
        Paragraph("Keeping time", H2),
        items(TIMING),
    ]


def room() -> list[Flowable]:
    """Page 3: rules and equipment."""
    rows = [[Paragraph(f"<b>{i}</b>", CELL), Paragraph(n, CELL), Paragraph(note, CELL)] for i, n, note in EQUIPMENT]
    return [
        Paragraph("Room and equipment", H1),
        Paragraph("Room rules", H2),
        items(RULES, numbered=True),
        Paragraph("Setting up the room", H2),
        items(SETUP),
        Paragraph("Equipment list", H2),
        Paragraph("For sixteen participants. Tick each item off on the evening before.", BODY),
        table(["Item", "Number", "Note"], rows, [52, 20, 98]),
    ]


def troubleshooting() -> list[Flowable]:
    """Page 4: what goes wrong on the day."""
    rows = [[Paragraph(cell, CELL) for cell in row] for row in TROUBLE]
    return [
        Paragraph("Troubleshooting on the day", H1),
        Paragraph("Look for what you see on the left; the remedy is on the right.", LEAD),
        table(["What you see", "Likely cause", "What to do"], rows, [53, 50, 67]),
        Paragraph("How to help", H2),
        items(HELPING),
    ]


def exercises() -> list[Flowable]:
    """Page 5: six exercises."""
    parts: list[Flowable] = [
        Paragraph("Exercises", H1),
        Paragraph("Work in pairs: one types, the other takes notes. Change places after each exercise.", LEAD),
    ]
    for name, minutes, task, done in EXERCISES:
        head = Table([[Paragraph(f"<b>{name}</b>", CELL), Paragraph(minutes, TIME)]], [WIDTH - 30 * mm, 30 * mm])
        head.setStyle(
            TableStyle([*CELLS, ("BACKGROUND", (0, 0), (-1, -1), PALE), ("LINEBEFORE", (0, 0), (0, 0), 3, ACCENT)])
        )
        parts.append(
            KeepTogether(
                [
                    head,
                    Spacer(0, 4),
                    Paragraph(task, BODY),
                    Paragraph(f"<b>You are done when</b> {done}", BODY),
                    Spacer(0, 8),
                ]
            )
        )
    return parts


def table(
    head: list[str], rows: list[list[Flowable]], widths: list[int], extra: Iterable[tuple[Any, ...]] = ()
) -> Table:
    """A table with a coloured head; widths in millimetres."""
    made = Table([[Paragraph(cell, HEAD) for cell in head], *rows], [width * mm for width in widths], repeatRows=1)
    made.setStyle(TableStyle([*CELLS, ("BACKGROUND", (0, 0), (-1, 0), ACCENT), *extra]))
    return made


def items(texts: list[str], *, numbered: bool = False) -> ListFlowable:
    """A list with bullets or numbers."""
    return ListFlowable(
        [ListItem(Paragraph(text, ITEM)) for text in texts],
        bulletType="1" if numbered else "bullet",
        bulletFormat="%s." if numbered else None,
        start=None if numbered else "–",
        bulletFontName="Helvetica-Bold",
        bulletFontSize=10,
        bulletColor=ACCENT,
        leftIndent=14,
    )


def footer(canvas: Canvas, document: BaseDocTemplate) -> None:
    """A line, the title and the page number under each page."""
    canvas.saveState()
    canvas.setStrokeColor(LINE)
    canvas.line(MARGIN, 14 * mm, A4[0] - MARGIN, 14 * mm)
    canvas.setFont("Helvetica", 8.5)
    canvas.setFillColor(GREY)
    canvas.drawString(MARGIN, 9.5 * mm, TITLE)
    canvas.drawRightString(A4[0] - MARGIN, 9.5 * mm, f"page {document.page}")
    canvas.restoreState()


if __name__ == "__main__":
    main()
