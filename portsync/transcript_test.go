package portsync

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

var update = flag.Bool("update", false, "rewrite the transcripts; commit only changes that you understand")

// TestTranscripts runs the transcripts in testdata/transcripts. A file has blocks of commands (see
// runCommand), a line "----", and the resulting actions. Each block continues with the state of the
// block before.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playTranscript(t, string(src))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(src) {
				t.Errorf("actions differ; the transcript should be:\n%s", got)
			}
		})
	}
}

// playTranscript runs the commands of src and returns src with the resulting actions.
func playTranscript(t *testing.T, src string) string {
	var out strings.Builder
	s := NewState(nil)
	var actions []string
	expected := false // in the actions of src, which are replaced
	for line := range strings.Lines(src) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "----":
			expected = true
			out.WriteString("----\n")
			if len(actions) == 0 {
				actions = []string{"nothing"}
			}
			for _, a := range actions {
				out.WriteString(a + "\n")
			}
			actions = nil
		case line == "":
			expected = false
			out.WriteString("\n")
		case expected:
		case strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
		default:
			out.WriteString(line + "\n")
			actions = append(actions, runCommand(t, s, strings.Fields(line))...)
		}
	}
	return out.String()
}

// runCommand runs one of these commands and returns the resulting actions:
//
//	pending NAME...                      ports that PortInitDone waits for
//	old IFINDEX NAME                     an interface that existed before a cold start
//	dump [quiet]                         a dump of all links is requested
//	newlink IFINDEX NAME [word...]       words: up carrier running mtu=N master=N team dump
//	dellink IFINDEX NAME [word...]
//	unreadable IFINDEX NAME [dump]       a message that was too large to read
//	dumpdone [interrupted|incomplete|failed] [seq=N]
//	overrun
//	accepted NAME, not_accepted NAME     the result of writing the row
//	exists NAME                          prints whether an interface with that name exists
func runCommand(t *testing.T, s *State, words []string) []string {
	t.Helper()
	args := words[1:]
	ev := Event{MTU: 1500}
	switch words[0] {
	case "pending":
		for _, name := range args {
			s.AddInitPending(name)
		}
		return nil
	case "old":
		s.AddOld(int32(number(t, args[0])), args[1])
		return nil
	case "dump":
		s.DumpRequested(s.dumpSeq+1, len(args) > 0 && args[0] == "quiet")
		return nil
	case "exists":
		return []string{fmt.Sprintf("exists %s %v", args[0], s.Exists(args[0]))}
	case "newlink", "dellink", "unreadable":
		ev.Kind = map[string]netlinkraw.MessageType{"newlink": netlinkraw.NewLink, "dellink": netlinkraw.DelLink, "unreadable": netlinkraw.Unreadable}[words[0]]
		ev.Index = int32(number(t, args[0]))
		ev.SetName([]byte(args[1]))
		args = args[2:]
	case "dumpdone":
		ev.Kind, ev.Seq = netlinkraw.DumpDone, s.dumpSeq
	case "overrun":
		ev.Kind = netlinkraw.Overrun
	case "accepted", "not_accepted":
		port := s.ports[args[0]]
		if port == nil {
			t.Fatalf("%s: no such port", args[0])
		}
		if s.Accept(port, words[0] == "accepted") {
			return []string{printAction(Action{Kind: InitDone})}
		}
		return nil
	default:
		t.Fatalf("unknown command %q", words[0])
	}
	setWords(t, &ev, args)
	actions, err := s.Step(&ev, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range actions {
		out = append(out, printAction(a))
	}
	return out
}

func setWords(t *testing.T, ev *Event, words []string) {
	t.Helper()
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "up":
			ev.Flags |= unix.IFF_UP
		case "running":
			ev.Flags |= unix.IFF_RUNNING
		case "carrier":
			ev.Flags |= unix.IFF_LOWER_UP
		case "mtu":
			ev.MTU = uint32(number(t, value))
		case "master":
			ev.Master = int32(number(t, value))
		case "seq":
			ev.Seq = uint32(number(t, value))
		case "team":
			ev.Team = true
		case "dump":
			ev.Dump = true
		case "interrupted":
			ev.Interrupted = true
		case "incomplete":
			ev.Incomplete = true
		case "failed":
			ev.Failed = true
		default:
			t.Fatalf("unknown word %q", w)
		}
	}
}

func printAction(a Action) string {
	switch a.Kind {
	case Publish:
		return fmt.Sprintf("publish %s admin=%s oper=%s mtu=%d", a.Port.Name, status(a.Port.Admin), status(a.Port.Oper), a.Port.MTU)
	case Delete:
		return "delete " + a.Port.Name
	case Redump:
		return "redump: " + a.Reason.String()
	case Settle:
		return "settle " + a.Port.Name
	case Ignore:
		return "ignore: " + a.Ignored.String()
	case Synced:
		return "synced"
	case InitDone:
		return "init-done"
	case Unread:
		return "unread"
	}
	return fmt.Sprintf("action %d", a.Kind)
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
