package conventions

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestAlertTimes compares the times in the first sentence of each section of the runbook, and in the
// annotations of each alert, with the rule. The first sentence of a section has to contain the time
// after which its alert fires: the rule's "for", or the sum of it and of a time in the expression,
// such as a range. Without "for", it is the range.
func TestAlertTimes(t *testing.T) {
	sections := make(map[string]string)
	for _, section := range strings.Split(switchtest.ReadFile(t, "deploy/prometheus/RUNBOOK.md"), "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		_, text, _ = strings.Cut(strings.Join(strings.Fields(text), " "), "**Meaning.** ")
		sections[name], _, _ = strings.Cut(text, ". ")
	}
	file := regexp.MustCompile(`(?m)^ *#.*\n`).ReplaceAllString(switchtest.ReadFile(t, "deploy/prometheus/rules/portsyncd-alerts.yml"), "")
	alerts := strings.Split(file, "- alert: ")[1:]
	for _, text := range alerts {
		name, text, _ := strings.Cut(text, "\n")
		rule, annotations, _ := strings.Cut(text, "annotations:\n")
		hold, in := alertTimes(rule)
		fires := in // times after which the alert can fire
		if hold != 0 {
			fires = []time.Duration{hold}
			for _, d := range in {
				fires = append(fires, hold+d)
			}
		}
		sentence := sections[name]
		documented := namedTimes(sentence)
		if len(fires) > 0 && !slices.ContainsFunc(fires, func(d time.Duration) bool { return slices.Contains(documented, d) }) {
			t.Errorf("%s: the runbook says %q, which has none of the times %v", name, sentence, fires)
		}
		for _, d := range slices.Concat(documented, namedTimes(strings.Join(strings.Fields(annotations), " "))) {
			if !slices.Contains(fires, d) && !slices.Contains(in, d) {
				t.Errorf("%s: the runbook or an annotation says %v; the rule has for: %v and %v", name, d, hold, in)
			}
		}
	}
	if len(alerts) < 20 || len(sections) != len(alerts) {
		t.Errorf("%d alerts, %d sections in the runbook", len(alerts), len(sections))
	}
}

// alertTimes returns the value of "for" in a rule, 0 if there is none, and the times in the rule's
// expression: ranges and offsets, also those in the name of a recorded series, and the age of a
// timestamp in seconds. A range and an offset are added up as well.
func alertTimes(rule string) (hold time.Duration, in []time.Duration) {
	if m := regexp.MustCompile(`\n +for: (\S+)\n`).FindStringSubmatch(rule); m != nil {
		hold = promDuration(m[1])
	}
	var ranges []time.Duration
	for _, m := range regexp.MustCompile(`\[(\d+[smhd])\]|:(?:max|increase|rate|p99_)(\d+[smhd])\b`).FindAllStringSubmatch(rule, -1) {
		ranges = append(ranges, promDuration(m[1]+m[2]))
	}
	in = slices.Clone(ranges)
	for _, m := range regexp.MustCompile(`offset (\d+[smhd])`).FindAllStringSubmatch(rule, -1) {
		for _, d := range ranges {
			in = append(in, d+promDuration(m[1]))
		}
	}
	for _, m := range regexp.MustCompile(`timestamp_seconds > (\d+)`).FindAllStringSubmatch(rule, -1) {
		in = append(in, promDuration(m[1]+"s"))
	}
	if strings.Contains(rule, ":count_lost") { // recorded from ports that were up within 15 minutes
		in = append(in, 15*time.Minute)
	}
	return hold, in
}

// promDuration parses a duration such as 7d, with one unit.
func promDuration(text string) time.Duration {
	n, _ := strconv.Atoi(text[:len(text)-1])
	return time.Duration(n) * map[byte]time.Duration{'s': second, 'm': minute, 'h': hour, 'd': 24 * hour}[text[len(text)-1]]
}

// namedTimes returns the times in a text: "30 seconds", "10 minutes", "the last hour", "7 days".
func namedTimes(text string) (times []time.Duration) {
	units := map[string]time.Duration{"second": second, "minute": minute, "hour": hour, "day": 24 * hour}
	numbers := map[string]int{"last": 1, "two": 2, "three": 3}
	for _, m := range regexp.MustCompile(`(\d+|last|two|three) (second|minute|hour|day)s?\b`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			n = numbers[m[1]]
		}
		times = append(times, time.Duration(n)*units[m[2]])
	}
	return times
}
