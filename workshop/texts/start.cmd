@echo off
rem Starts Escalator from this kit: a double click, or start.cmd in a terminal.
where py >nul 2>nul && (py "%~dp0use.pyz" %* & goto end)
where python >nul 2>nul && (python "%~dp0use.pyz" %* & goto end)
echo Python is missing. Install 3.11, 3.12 or 3.13 from python.org, then run this again.
:end
pause
