package cli

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"portsyncd/internal/statusview"
)

// Terminal control sequences (ECMA-48, and "DEC Private Mode Set" in xterm's ctlseqs). Leaving the
// alternate screen restores the previous contents of the terminal.
const (
	EnterScreen = "\x1b[?1049h\x1b[?25l" // alternate screen, cursor hidden
	LeaveScreen = "\x1b[?25h\x1b[?1049l"
	CursorHome  = "\x1b[H"
	clearLine   = "\x1b[K" // to the end of the line
	ClearBelow  = "\x1b[J" // to the end of the screen
)

// watch fetches and prints the status at the given interval until SIGINT, SIGTERM or SIGHUP. It
// returns the exit status for the last response. On a terminal it redraws the alternate screen;
// otherwise it appends each status to the output.
func (q *query) watch(interval time.Duration) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	_, isTerminal := windowSize(q.stdout)
	if isTerminal && !q.json {
		return q.watchScreen(ctx, interval)
	}
	code, printed := ExitUnknown, "" // printed is the last error if no response followed
	for separator := ""; ctx.Err() == nil; {
		body, s, err := q.fetch(ctx)
		if ctx.Err() != nil { // the signal interrupted the request
			return code
		}
		code = exitFor(s, err)
		var text []byte
		if err == nil {
			t := q.display.terminal(q.stdout)
			t.Height = 0
			if text, err = q.text(body, s, t); err != nil {
				code = ExitUnknown
			}
		}
		if err != nil {
			if err.Error() != printed {
				printed = err.Error()
				printError(q.stderr, "status", err)
			}
		} else {
			printed = ""
			if _, err := q.stdout.Write(append([]byte(separator), text...)); err != nil {
				return ExitUnknown // the reader closed the pipe
			}
			if !q.json {
				separator = "\n"
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
	return code
}

// watchScreen implements watch on a terminal.
func (q *query) watchScreen(ctx context.Context, interval time.Duration) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGTSTP)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	keys := openKeyboard(os.Stdin)
	defer keys.close()
	if keys.saved != nil {
		go keys.awaitQuit(cancel)
	}
	q.stdout.Write([]byte(EnterScreen))
	defer q.stdout.Write([]byte(LeaveScreen))
	code := ExitUnknown
	for ctx.Err() == nil {
		body, s, err := q.fetch(ctx)
		if ctx.Err() != nil {
			break
		}
		code = exitFor(s, err)
		t := q.display.terminal(q.stdout)
		var text []byte
		if err == nil {
			if text, err = q.text(body, s, t); err != nil {
				code = ExitUnknown
			}
		}
		if err != nil {
			text = statusview.AppendNotice(nil, err.Error(), t)
		}
		if _, err := q.stdout.Write(frame(text)); err != nil {
			return ExitUnknown
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		case sig := <-signals:
			if sig == syscall.SIGTSTP {
				keys.close()
				q.suspend()
				keys.open()
			}
		}
	}
	return code
}

// suspend restores the terminal and stops the process, as Ctrl-Z does by default. It returns when
// the process continues.
func (q *query) suspend() {
	q.stdout.Write([]byte(LeaveScreen))
	syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	q.stdout.Write([]byte(EnterScreen))
}

// frame returns the terminal control sequences and the text that replace the contents of the screen
// with text.
func frame(text []byte) []byte {
	b := []byte(CursorHome)
	for line := range bytes.Lines(text) {
		b = append(b, bytes.TrimSuffix(line, []byte("\n"))...)
		b = append(b, clearLine+"\r\n"...)
	}
	return append(b, ClearBelow...)
}
