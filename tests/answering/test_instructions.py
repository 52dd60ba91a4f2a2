"""Instructions about the last answer and the conversation, in many wordings, and questions that only look like them."""

import pytest

from app.answering.router import intent
from tests.answering.test_router import split

INSTRUCTIONS = {
    "en": """
        Translate your last answer to German | translate that | Translate it into Danish please | in Dutch
        Can you translate this to Norwegian? | Say that in Romanian | could I have that in French?
        In German, please!
        Give me the answer in Spanish | the same in Italian | as an e-mail | as an email to my boss | Make it a letter
        Rewrite it as a mail | Turn that into an e-mail to the whole team | Write an e-mail to my landlord from that
        Draft a short message to my colleagues | shorter | a bit shorter please | Make that much shorter | too long
        Can you shorten your answer? | more formal | less formal please | Make it sound more formal | more politely
        as bullet points | Put the answer into bullet points | list it in bullets | as a table | Can I get a table?
        Show that in a table | in simple words | in plain English please | Explain that to a beginner | ELI5
        explain it to me like I'm twelve | for a child | continue | go on | please go on with your answer
        keep writing
        Rephrase your answer | Say it differently | in one sentence | Give me the short version | with an example
        Correct the spelling of your last answer | in two paragraphs | Without the jargon, please
        more details please
    """,
    "de": """
        Übersetze deine letzte Antwort ins Englische | Übersetz das | Kannst du das auf Dänisch übersetzen?
        in Deutsch bitte | auf Englisch | Bitte auf Niederländisch | Das Gleiche auf Norwegisch | und auf Rumänisch?
        Können Sie mir das ins Französische übersetzen? | Gib mir die Antwort auf Spanisch | Sag das auf Italienisch
        als E-Mail | als E-Mail an meinen Chef | Schreib daraus eine Mail an das Team | Mach daraus einen Brief
        Formuliere das als Nachricht an meine Kollegin | Schreibe eine E-Mail an den Vermieter daraus
        Schreib die Antwort um | kürzer | etwas kürzer bitte | Fass dich kürzer | Kannst du deine Antwort kürzen?
        Kürze das auf zwei Sätze | Das ist zu lang | formeller | weniger förmlich bitte | Formuliere das höflicher
        in Stichpunkten | als Stichpunkte bitte | Mach eine Liste daraus | als Tabelle | Stell das als Tabelle dar
        Bitte tabellarisch | in einfachen Worten | in einfacher Sprache | Erklär das einem Anfänger
        Erkläre es mir wie einem Kind | für Laien | weiter | mach weiter | bitte weiterschreiben | Fahre fort
        Sag es anders | mit anderen Worten | in einem Satz | nur die Kurzfassung | mit einem Beispiel
        ohne Fachbegriffe
        Wiederhole deine letzte Antwort | mehr Details bitte | ausführlicher
        Korrigiere die Rechtschreibung der Antwort
    """,
    "da": """
        Oversæt dit sidste svar til tysk | oversæt det | Kan du oversætte det til engelsk? | på dansk | på tysk, tak
        Sig det på norsk | det samme på hollandsk | Giv mig svaret på fransk | og på rumænsk? | Skriv det på svensk
        som en e-mail | som en mail til min chef | Skriv det om til en mail | Lav det om til et brev
        Skriv en e-mail til mine kolleger ud fra det | Formuler det som en besked til teamet
        Lav en mail til udlejeren
        kortere | lidt kortere, tak | Gør det kortere | Kan du forkorte dit svar? | for langt | mere formelt
        mindre formelt | Skriv det mere høfligt | i punktform | som punkter | Lav en liste af det | som en tabel
        Sæt det op i en tabel | Kan jeg få det som tabel? | med enkle ord | i et enkelt sprog
        Forklar det for en begynder
        forklar det som til et barn | fortsæt | gå videre | skriv videre, tak | bliv ved | Omskriv dit svar
        Sig det på en anden måde | med andre ord | i én sætning | giv mig den korte version | med et eksempel
        uden fagudtryk | gentag dit sidste svar | flere detaljer, tak | uddyb | Ret stavefejlene i dit svar
    """,
    "nl": """
        Vertaal je laatste antwoord naar het Duits | vertaal dat | Kun je dat in het Engels vertalen?
        in het Nederlands
        in het Deens graag | Zeg dat in het Noors | hetzelfde in het Frans | Geef me het antwoord in het Spaans
        en in het Roemeens? | als e-mail | als een mail aan mijn baas | Herschrijf het als mail
        Maak er een brief van
        Schrijf er een e-mail aan mijn collega's van | Maak daar een bericht aan het team van
        Schrijf een e-mail aan de huisbaas op basis daarvan | korter | iets korter graag | Maak het korter
        Kun je je antwoord inkorten? | te lang | formeler | minder formeel alsjeblieft | Schrijf het beleefder
        in opsommingstekens | als opsomming | Maak er een lijst van | als tabel | Zet het in een tabel
        Kan ik dat als tabel krijgen? | in eenvoudige woorden | in gewone taal | Leg dat uit aan een beginner
        leg het uit alsof ik vijf ben | voor kinderen | ga verder | ga door | schrijf verder | verder graag
        Herformuleer je antwoord | Zeg het anders | met andere woorden | in één zin | geef me de korte versie
        met een voorbeeld | zonder vaktaal | herhaal je laatste antwoord | meer details graag | Verbeter de spelling
    """,
    "no": """
        Oversett det siste svaret ditt til tysk | oversett det | Kan du oversette det til engelsk? | på norsk
        på tysk, takk
        Si det på dansk | det samme på nederlandsk | Gi meg svaret på fransk | og på rumensk? | Skriv det på svensk
        som en e-post | som en e-post til sjefen min | Skriv det om til en e-post | Gjør det om til et brev
        Skriv en e-post til kollegene mine ut fra det | Formuler det som en melding til teamet
        Lag en e-post til utleieren
        kortere | litt kortere, takk | Gjør det kortere | Kan du forkorte svaret ditt? | for langt | mer formelt
        mindre formelt | Skriv det høfligere | i punktform | som kulepunkter | Lag en liste av det | som en tabell
        Sett det opp i en tabell | Kan jeg få det som tabell? | med enkle ord | på enkelt språk
        Forklar det for en nybegynner | forklar det som til et barn | fortsett | gå videre | skriv videre, takk
        fortsett å skrive | Omformuler svaret ditt | Si det på en annen måte | med andre ord | i én setning
        gi meg den korte versjonen | med et eksempel | uten fagspråk | gjenta det siste svaret | flere detaljer, takk
        utdyp | Rett stavefeilene i svaret
    """,
    "ro": """
        Tradu ultimul tău răspuns în germană | tradu asta | Poți traduce asta în engleză? | în română
        în germană, te rog
        Spune asta în daneză | același lucru în olandeză | Dă-mi răspunsul în franceză | și în norvegiană?
        Scrie asta în limba italiană | ca e-mail | ca un e-mail către șeful meu | Rescrie-l ca e-mail
        Fă din asta o scrisoare
        Scrie un e-mail colegilor mei din asta | Formulează asta ca mesaj pentru echipă | Scrie un mail proprietarului
        mai scurt | puțin mai scurt, te rog | Fă-l mai scurt | Poți scurta răspunsul? | prea lung | mai formal
        mai puțin formal | Scrie mai politicos | sub formă de listă | pe puncte | Fă o listă din asta | ca tabel
        Pune asta într-un tabel | Pot primi asta ca tabel? | cu cuvinte simple | într-un limbaj simplu
        Explică asta unui începător | explică-mi ca unui copil | pentru începători | continuă | mai departe
        scrie mai departe | continuă, te rog | Reformulează răspunsul | Spune altfel | cu alte cuvinte
        într-o singură propoziție | dă-mi varianta scurtă | cu un exemplu | fără termeni tehnici
        repetă ultimul răspuns | mai multe detalii, te rog | detaliază | Corectează greșelile din răspuns
    """,
    "others": """
        Traduis ça en allemand | traduis ta dernière réponse | en anglais, s'il te plaît | plus formel
        sous forme de liste | comme un e-mail à mon chef | continue | en une phrase | Explique ça à un débutant
        Traduce eso al alemán | traduce tu última respuesta | en inglés, por favor | más formal | en forma de lista
        como un correo a mi jefe | continúa | en una frase | Traduci questo in tedesco | in inglese per favore
        più formale | come elenco puntato | come e-mail al mio capo | continua | in una frase
        Översätt det till tyska | på engelska tack | mer formellt | som en lista | som ett mejl till min chef
        fortsätt | i en mening
    """,
}

CONVERSATIONS = """
    Summarise our conversation | summarize this chat so far | Can you sum up our discussion?
    A summary of our chat, please
    Recap the conversation | What did we talk about? | What have we discussed so far?
    our conversation as bullet points
    Fasse unser Gespräch zusammen | Fass den Chat zusammen | Eine Zusammenfassung unserer Unterhaltung bitte
    Worüber haben wir gesprochen? | Was haben wir bisher besprochen? | Opsummer vores samtale
    Kan du opsummere chatten?
    Hvad har vi talt om? | Giv mig et resumé af samtalen | Vat ons gesprek samen | Kun je de chat samenvatten?
    Waar hebben we het over gehad? | Oppsummer samtalen vår | Kan du oppsummere chatten? | Hva har vi snakket om?
    Rezumă conversația noastră | Poți rezuma discuția? | Despre ce am vorbit? | Un rezumat al conversației, te rog
    Résume notre conversation | De quoi avons-nous parlé ? | Resume nuestra conversación | ¿De qué hemos hablado?
    Riassumi la nostra conversazione | Di cosa abbiamo parlato? | Sammanfatta vårt samtal | Vad har vi pratat om?
"""

QUESTIONS = """
    How do I translate the manual to German? | Can I write an e-mail to the landlord? | What does continue do?
    Who translates the minutes? | Is the manual available in German? | Which documents are in Danish?
    How long may an e-mail be? | How do I shorten the lease? | Can the contract be shortened?
    What is a bullet point?
    Who writes the letter to the members? | Where is the table of fares? | How do I make a table?
    Should a complaint be formal? | When must I send the letter? | What does the table on page 4 show?
    Does the course continue in May? | May I go on leave in June? | Do beginners pay less?
    Explain the rule for beginners' courses | What is the e-mail address of the office? | Who answers the e-mails?
    How do I explain the fee to a tenant? | Is there a short version of the statute? | What did the board discuss?
    What was the conversation with the mayor about? | Summarise the discussion of the board in May
    Translate the manual to German | Shorten the table legs by how much? | Which words are simple?
    Wie übersetze ich das Handbuch ins Deutsche? | Darf ich dem Vermieter eine E-Mail schreiben?
    Was macht die Taste weiter? | Wer übersetzt das Protokoll? | Gibt es die Satzung auf Englisch?
    Wie schreibe ich einen Brief an das Finanzamt? | Wie kann ich die Frist kürzen?
    Wo steht die Tabelle der Gebühren?
    Geht der Kurs für Anfänger im Mai weiter? | Worüber hat der Vorstand gesprochen? | Muss der Antrag förmlich sein?
    Hvordan oversætter jeg manualen til tysk? | Må jeg skrive en mail til udlejeren? | Fortsætter kurset i maj?
    Hvem skriver brevet? | Findes reglerne på engelsk? | Hvad har bestyrelsen talt om?
    Hoe vertaal ik de handleiding naar het Duits? | Mag ik de huisbaas een e-mail sturen?
    Gaat de cursus verder in mei?
    Wie schrijft de brief aan de leden? | Bestaat het reglement in het Engels?
    Waar heeft het bestuur het over gehad?
    Hvordan oversetter jeg håndboken til tysk? | Kan jeg skrive en e-post til utleieren? | Fortsetter kurset i mai?
    Finnes reglene på engelsk? | Hva har styret snakket om? | Cum traduc manualul în germană?
    Pot scrie un e-mail proprietarului? | Continuă cursul în mai? | Există regulamentul în engleză?
    Despre ce a vorbit consiliul? | Cine scrie scrisoarea către membri?
"""


@pytest.mark.parametrize("message", [each for text in INSTRUCTIONS.values() for each in split(text)])
def test_an_instruction_about_the_last_answer_is_known_in_many_wordings(message: str) -> None:
    found = intent(message, goes_on=True)

    assert found is not None
    assert found.kind == "instructs"


@pytest.mark.parametrize("message", split(CONVERSATIONS))
def test_a_summary_of_the_conversation_is_not_one_of_the_documents(message: str) -> None:
    found = intent(message, goes_on=True)

    assert found is not None
    assert found.kind == "recaps"


@pytest.mark.parametrize("message", split(QUESTIONS))
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_question_about_letters_translations_and_tables_stays_a_question(message: str, goes_on: bool) -> None:
    found = intent(message, goes_on=goes_on)

    assert found is None or (found.kind == "summary" and all(found.names))  # which takes a document of that name


@pytest.mark.parametrize("language", [code for code in INSTRUCTIONS if code != "others"])
def test_each_language_has_forty_wordings(language: str) -> None:
    assert len(split(INSTRUCTIONS[language])) >= 40


def test_there_are_sixty_questions_that_look_like_instructions() -> None:
    assert len(split(QUESTIONS)) >= 60
