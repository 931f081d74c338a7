package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"portsyncd/internal/journal"
)

// followInterval is the interval between queries for new events.
const followInterval = time.Second

// followEvents prints new events until ctx ends. A problem is printed only when it first occurs
// or differs from the previous one.
func (l *eventLister) followEvents(ctx context.Context) error {
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	var files fileState
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		events, err := l.newEvents(ctx)
		problem := ""
		switch {
		case errors.Is(err, errNoFetch):
			if events, err = l.newStored(&files); err != nil {
				problem = fmt.Sprintf("%v; retrying", err)
			}
		case errors.Is(err, errNoDaemon) && l.storage != "":
			problem = fmt.Sprintf("%v; following the files in %s until it responds", err, l.storage)
			if events, err = l.newStored(&files); err != nil {
				problem += fmt.Sprintf("; %v", err)
			}
		case err != nil:
			problem = fmt.Sprintf("%v; retrying", err)
		}
		if ctx.Err() != nil {
			return nil
		}
		if problem != "" && problem != l.problem {
			l.note("%s", problem)
		}
		l.problem = problem
		if err := l.print(events); err != nil {
			return err
		}
	}
}

// newEvents returns the daemon's events since the last call.
func (l *eventLister) newEvents(ctx context.Context) ([]journal.Event, error) {
	f := l.filter
	f.Limit, f.Since, f.After = 0, time.Time{}, l.last
	d, err := l.fetch(ctx, &f)
	if err != nil {
		return nil, err
	}
	l.addAliases(d)
	if !l.process.IsZero() && !d.Process.Equal(l.process) {
		return l.afterRestart(ctx, d.Process)
	}
	l.process, l.last = d.Process, d.LastSeq
	return d.Events, nil
}

// afterRestart returns the new events after a daemon restart. Sequence numbers may start lower than
// the last ones seen, because the previous process may have been killed before it saved its last
// events.
func (l *eventLister) afterRestart(ctx context.Context, process time.Time) ([]journal.Event, error) {
	d, err := l.fetch(ctx, &journal.Filter{})
	if err != nil {
		return nil, err
	}
	start := uint64(0)
	for i := range d.Events {
		if d.Events[i].Kind == journal.Start {
			start = d.Events[i].Seq
		}
	}
	var events []journal.Event
	for _, e := range d.Events {
		f := l.filter
		f.Since = time.Time{}
		if (e.Seq > l.last || start > 0 && e.Seq >= start) && f.Match(&e) {
			events = append(events, e)
		}
	}
	l.process, l.last = process, d.LastSeq
	return events, nil
}

// fileState detects changes of the current journal file.
type fileState struct {
	info fs.FileInfo
	size int64
}

// newStored returns the events stored in the files since the last call.
func (l *eventLister) newStored(state *fileState) ([]journal.Event, error) {
	info, err := os.Stat(filepath.Join(l.storage, journal.FileName))
	if err == nil && state.info != nil && os.SameFile(info, state.info) && info.Size() == state.size {
		return nil, nil
	}
	f := l.filter
	f.Limit, f.Since, f.After = 0, time.Time{}, l.last
	var events []journal.Event
	stats, err := journal.Read(l.storage, &f, func(e *journal.Event) error {
		events = append(events, *e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, problem := range stats.Problems {
		l.note("%s", problem)
	}
	if info != nil {
		state.info, state.size = info, info.Size()
	}
	if n := len(events); n > 0 {
		l.last = events[n-1].Seq
	}
	return events, nil
}
