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

// Control sequences of xterm and its kin (ctlseqs, "DEC Private Mode Set" and
// ECMA-48): the alternate screen keeps what was on the terminal, which comes
// back at the end.
const (
	EnterScreen = "\x1b[?1049h\x1b[?25l" // alternate screen, no cursor
	LeaveScreen = "\x1b[?25h\x1b[?1049l"
	ToTop       = "\x1b[H"
	clearLine   = "\x1b[K"
	ClearRest   = "\x1b[J"
)

// watch asks and prints again and again, until a signal asks for the end, and
// returns the exit status for the last answer. On a terminal it draws in place,
// and leaves the terminal as it was; elsewhere it prints block after block.
func (q *inquiry) watch(every time.Duration) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	_, isTerminal := windowSize(q.stdout)
	if isTerminal && !q.json {
		return q.watchScreen(ctx, every)
	}
	code := ExitUnclear
	for between := ""; ctx.Err() == nil; {
		body, s, err := q.ask(ctx)
		switch {
		case ctx.Err() != nil: // nothing that came then is an answer
			return code
		case err != nil:
			complain(q.stderr, "status", err)
		default:
			t := q.display.terminal(q.stdout)
			t.Height = 0
			if _, err := q.stdout.Write(append([]byte(between), q.text(body, s, t)...)); err != nil {
				return ExitUnclear // whoever read it is gone
			}
			if !q.json {
				between = "\n"
			}
		}
		code = exitFor(s, err)
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
	return code
}

// watchScreen is watch on a terminal.
func (q *inquiry) watchScreen(ctx context.Context, every time.Duration) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGTSTP)
	defer signal.Stop(signals)
	q.stdout.Write([]byte(EnterScreen))
	defer q.stdout.Write([]byte(LeaveScreen))
	code := ExitUnclear
	for ctx.Err() == nil {
		_, s, err := q.ask(ctx)
		if ctx.Err() != nil {
			break
		}
		code = exitFor(s, err)
		t := q.display.terminal(q.stdout)
		if _, err := q.stdout.Write(frame(t, s, err)); err != nil {
			return ExitUnclear
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		case sig := <-signals:
			if sig == syscall.SIGTSTP {
				q.suspend()
			}
		}
	}
	return code
}

// suspend gives the terminal back and stops, as Ctrl-Z asks, until somebody has
// us go on.
func (q *inquiry) suspend() {
	q.stdout.Write([]byte(LeaveScreen))
	syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	q.stdout.Write([]byte(EnterScreen))
}

// frame is one screen: an answer, or why there is none.
func frame(t statusview.Terminal, s *statusview.Status, err error) []byte {
	var text []byte
	if err != nil {
		text = statusview.AppendNotice(nil, err.Error(), t)
	} else {
		text = s.AppendText(nil, t)
	}
	b := []byte(ToTop)
	for line := range bytes.Lines(text) {
		b = append(b, bytes.TrimSuffix(line, []byte("\n"))...)
		b = append(b, clearLine+"\r\n"...)
	}
	return append(b, ClearRest...)
}
