"""What messages ask for, in many wordings, and questions that only look like it."""

import pytest

from app.answering.router import intent

MESSAGES = {
    "greets": """
        hi | Hello there! | Good morning | hey, how are you? | thanks! | Thank you very much for your help | thx | bye
        ok, got it | That was very helpful, thanks | Hallo! | guten Morgen | Guten Tag zusammen | vielen Dank!
        Danke schön | danke, das war sehr hilfreich | tschüss | Goedemorgen | hoi | dank je wel | bedankt voor je hulp
        hej | tak | mange tak for hjælpen | tusind tak | takk | tusen takk! | god morgen | hei hei | ha det bra
        Bună ziua | mulțumesc frumos | salut | mersi | bonjour | merci beaucoup ! | Bonsoir, comment ça va ? | au revoir
        hola | buenos días | muchas gracias | adiós | ¿qué tal?
    """,
    "app": """
        Who are you? | what are you | What can you do? | hi, what can you do for me? | Which model is this?
        what model are you using? | does this leave my machine? | Is my data safe?
        Do you send my documents to the cloud?
        are you an AI? | are you ChatGPT | how do you work? | help | do you need internet? | can you speak German?
        Wer bist du? | was kannst du? | Was kannst du alles tun? | Welches Modell ist das? | bist du eine KI?
        Verlassen meine Daten den Rechner? | Wie funktionierst du? | Wie kannst du mir helfen? | wie ben je?
        wat kun je doen? | welk model is dit? | zijn mijn gegevens veilig? | hvem er du? | hvad kan du?
        hvilken model er det? | hvem er du | hva kan du gjøre? | hvilken modell bruker du? | cine ești?
        ce poți să faci? | ce model folosești? | qui es-tu ? | que peux-tu faire ? | quel modèle utilises-tu ?
        ¿quién eres? | ¿qué puedes hacer? | ¿qué modelo usas?
    """,
    "overview": """
        What is in here? | what's here | What is in my documents? | which documents do you have? | list the files
        List all documents please | show me your documents | How many files are there? | what are the documents about?
        Can you give me an overview? | what documents can you see | What topics are covered? | what do you know?
        Was liegt hier? | was ist hier drin? | Welche Dokumente hast du? | Zeig mir alle Dateien
        Wie viele Dokumente gibt es? | Worum geht es in den Dokumenten? | gib mir einen Überblick | Liste der Dokumente
        Welke documenten heb je? | wat staat hier? | hoeveel bestanden zijn er? | geef een overzicht van de documenten
        Hvilke dokumenter har du? | hvad ligger her? | vis mig filerne | hvor mange dokumenter er der?
        hva ligger her? | hvilke filer finnes her? | ce documente ai? | ce este aici? | câte fișiere sunt?
        quels documents as-tu ? | qu'y a-t-il ici ? | liste des fichiers | combien de documents y a-t-il ?
        ¿qué hay aquí? | ¿qué documentos tienes? | ¿cuántos archivos hay?
    """,
    "instructs": """
        shorter | make it shorter | in Danish | Translate that into French, please | as a table | explain that simpler
        and why? | Why is that? | say it in two sentences | more details | can you explain it like I'm five? | go on
        give me an example | I don't understand | summarise that in one sentence | as bullet points
        kürzer | kürzer bitte | auf Englisch | als Tabelle | erklär das einfacher | und warum? | Fasse das kurz zusammen
        in drei Sätzen | mehr Details | wie meinst du das? | übersetze das ins Niederländische | noch einmal | korter
        in het Engels | als tabel | leg dat eenvoudiger uit | waarom? | en waarom is dat zo? | kortere
        på engelsk | som en tabel | forklar det enklere | hvorfor? | kan du forklare det enklere? | på norsk
        mai scurt | în engleză | explică mai simplu | de ce? | plus court | en anglais | sous forme de tableau
        pourquoi ? | explique plus simplement | más corto | en inglés | ¿por qué? | explícalo más sencillo
    """,
}

QUESTIONS = """
    What is in the first-aid kit? | thanks to whom was the library built? | Who are you supposed to call after a fire?
    What can you do about mould? | Which model of printer is in the office? | How many documents do I need for a visa?
    Which documents must be signed? | What is in the contract? | Hi, when does the ferry leave? | good morning routine
    Where do the files go when the printer is broken? | What is the greeting on the answering machine?
    Does the ferry leave in the morning? | Can data leave the building? | What is a language model? | list the members
    List the steps of the fire drill | Who made the bridge? | Who built the library? | Is it safe to drink the water?
    Does the model need the internet to start? | When did the train leave my town? | What is here called a passage?
    Why is the bridge closed? | Why does the ferry wait? | shorter days in winter | What is the table on page 4 about?
    Explain the table of fares | Which files are exempt from the rule? | How do you work the coffee machine?
    What is the folder in the hall for? | How does the ferry work? | Who is Escalator Smith? | Help for the homeless
    Wer bist du in der Geschichte? | Was liegt im Keller? | Was ist im Verbandskasten? | Was kann der Vermieter tun?
    Welche Dokumente muss ich mitbringen? | Wie viele Dateien darf ein Antrag haben? | Danke an wen wurde gesagt?
    Welches Modell hat die Heizung? | Guten Morgen Vietnam ist welcher Film? | Warum ist die Brücke gesperrt?
    Wie geht es dem Wald? | Worum geht es im Mietvertrag? | auf Englisch erschienene Bücher | Hilfe bei Brand
    Welke documenten heb ik nodig? | Wat zit er in de verbanddoos? | Hoeveel documenten moet ik inleveren?
    Wat kan de gemeente doen? | Waarom is de brug dicht? | Hvem er direktør? | Hvad kan kommunen gøre?
    Hvilke dokumenter skal jeg bruge? | Hva ligger i kjelleren? | Hvorfor er broen stengt? | Takk til hvem?
    Hvor mange filer må jeg levere? | Ce documente trebuie să aduc? | Ce este în trusa de prim ajutor?
    De ce este podul închis? | Cine este directorul? | Quels documents faut-il apporter ? | Qui est le directeur ?
    Qu'y a-t-il dans la trousse de secours ? | Pourquoi le pont est-il fermé ? | Que peut faire la commune ?
    ¿Qué documentos necesito? | ¿Qué hay en el botiquín? | ¿Quién es el director? | ¿Por qué está cerrado el puente?
    and the price? | in Germany? | and in winter? | how much is it? | what about children? | who is he? | when was that?
"""


def split(text: str) -> list[str]:
    return [message for line in text.strip().splitlines() for each in line.split("|") if (message := each.strip())]


@pytest.mark.parametrize(("kind", "message"), [(kind, each) for kind, text in MESSAGES.items() for each in split(text)])
def test_a_message_that_asks_nothing_of_the_text_is_known_for_what_it_is(kind: str, message: str) -> None:
    found = intent(message, goes_on=kind == "instructs")

    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize("message", split(QUESTIONS))
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_question_that_looks_like_one_of_them_stays_a_question(message: str, goes_on: bool) -> None:
    found = intent(message, goes_on=goes_on)

    assert found is None or (found.kind == "summary" and all(found.names))  # which takes a document of that name
