package journal

import (
	"fmt"
	"strings"
	"time"
)

// Text returns a short description of the event without its time and port, such as "link down after
// 3h2m up". It may contain text from a server or an administrator; the caller must escape it for
// output.
func (e *Event) Text() string {
	var b strings.Builder
	b.WriteString(e.what())
	if e.Reason != "" {
		b.WriteString(": ")
		b.WriteString(e.Reason)
	}
	return b.String()
}

// what returns Text without the reason.
func (e *Event) what() string {
	switch e.Kind {
	case LinkUp, LinkDown:
		return e.link()
	case Flapping:
		return fmt.Sprintf("flapped %s%s, now %s", times(e.Flaps), within(e.Span), either(e.Oper))
	case Merged:
		return fmt.Sprintf("changed %s%s, now %s", times(e.Count), within(e.Span), e.now())
	case AdminUp, AdminDown, Created, Deleted:
		return strings.ReplaceAll(string(e.Kind), "_", " ") + e.created()
	case Renamed:
		if e.New != "" {
			return "renamed to " + e.New
		}
		return "renamed from " + e.Old
	case MTU:
		return "MTU " + e.Old + " -> " + e.New
	case Health:
		if e.Old == e.New {
			return "health reasons changed, still " + e.New
		}
		return "health " + e.Old + " to " + e.New
	case Dropped:
		return fmt.Sprintf("%d events are missing", e.Count)
	}
	text := strings.ReplaceAll(string(e.Kind), "_", " ")
	switch {
	case e.Kind == Repair:
		rows := "rows"
		if e.Count == 1 {
			rows = "row"
		}
		return fmt.Sprintf("%s of %d %s%s", text, e.Count, rows, within(e.Span))
	case e.Count > 1:
		return fmt.Sprintf("%s %s%s", text, times(e.Count), within(e.Span))
	case e.After > 0:
		return text + " after " + shortly(e.After)
	case e.New != "":
		return text + " " + e.New
	}
	return text
}

// link describes a LinkUp or LinkDown event. If the kernel counted link-down transitions other than
// that of the event itself, the text contains their total number.
func (e *Event) link() string {
	text, was, own := "link up", "down", uint64(0)
	if e.Kind == LinkDown {
		text, was, own = "link down", "up", 1
	}
	switch {
	case e.Flaps <= own:
	case e.Flaps == 1:
		return text + ", 1 link-down transition since the previous message"
	default:
		return fmt.Sprintf("%s, %d link-down transitions since the previous message", text, e.Flaps)
	}
	if e.After >= time.Millisecond {
		text += fmt.Sprintf(" after %s %s", shortly(e.After), was)
	}
	return text
}

// created describes the interface of a Created event.
func (e *Event) created() string {
	if e.Kind != Created {
		return ""
	}
	return ", " + e.now()
}

// now describes the current state of the interface.
func (e *Event) now() string {
	if e.Admin == Unknown {
		return "deleted"
	}
	return fmt.Sprintf("admin %s, link %s, MTU %d", e.Admin, e.Oper, e.MTU)
}

// either describes a link state.
func either(s State) string {
	if s == Unknown {
		return "deleted"
	}
	return s.String()
}

// times returns "once" or "n times".
func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// within returns a phrase such as " in 10s", or "" for a span of 0.
func within(span time.Duration) string {
	if span <= 0 {
		return ""
	}
	return " in " + shortly(span)
}

// shortly formats a duration with at most two units.
func shortly(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return withoutZero(d.Round(time.Second).String(), "0s")
	case d < day:
		return withoutZero(withoutZero(d.Round(time.Minute).String(), "0s"), "0m")
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}

// withoutZero removes a trailing zero unit from the text of a duration.
func withoutZero(text, zero string) string {
	rest := strings.TrimSuffix(text, zero)
	if strings.HasSuffix(rest, "m") || strings.HasSuffix(rest, "h") {
		return rest
	}
	return text
}
