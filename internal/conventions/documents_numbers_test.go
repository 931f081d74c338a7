package conventions

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// units of the constants in TestNumbersInDocuments.
const (
	one         = 1
	mebibyte    = 1 << 20
	millisecond = 1e6
	second      = 1e9
	minute      = 60e9
	hour        = 3600e9
)

// TestNumbersInDocuments checks that numbers in documents are those of constants in the code. A
// phrase has "#" in place of the number, which may also be written as a word.
func TestNumbersInDocuments(t *testing.T) {
	constants := packageConstants(sources(t))
	words := []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
	text := make(map[string]string)
	for _, c := range []struct {
		document, phrase string
		constant         string // directory.name
		unit             float64
	}{
		{"ARCHITECTURE.md", "ring of # events", "portsync.ringSize", one},
		{"ARCHITECTURE.md", "log lines about link messages; collects them for # ms", "internal/journal.GatherFor", millisecond},
		{"ARCHITECTURE.md", "waits for the syslog daemon | its context; it then writes remaining lines for at most # ms", "portsync.logEndTimeout", millisecond},
		{"ARCHITECTURE.md", "state and history files | its context; main waits for at most # s", "internal/daemon.saveTimeout", second},
		{"ARCHITECTURE.md", "evaluates on request, every # s", "portsync.idleInterval", second},
		{"ARCHITECTURE.md", "and every # s while a reason is active", "portsync.alertInterval", second},
		{"ARCHITECTURE.md", "the journal; it then writes remaining lines for at most # ms", "internal/daemon.portLogEndTimeout", millisecond},
		{"docs/METRICS.md", "have not been processed yet, at most #.", "portsync.ringSize", one},
		{"docs/METRICS.md", "it was deleted more than # s ago", "portsync.missingAfter", second},
		{"docs/METRICS.md", "or was not created within # s after the port was added", "portsync.lateAfter", second},
		{"docs/METRICS.md", "PortConfigDone in APPL_DB, read # s after startup", "portsync.countAfter", second},
		{"docs/METRICS.md", "enlarges the buffer, up to # MiB", "netlinkraw.slotLimit", mebibyte},
		{"docs/METRICS.md", "CONFIG_DB, truncated to # bytes", "portsync.maxPortInfo", one},
		{"docs/METRICS.md", "logged more than # times in one second", "internal/syslog.LinesPerSecond", one},
		{"docs/METRICS.md", "no response within # s", "internal/push.requestTimeout", second},
		{"docs/METRICS.md", "limit of the Go runtime, # MiB by default", ".memoryLimit", mebibyte},
		{"docs/HEALTH.md", "cleared # seconds after its condition ends", "portsync.reasonHold", second},
		{"docs/HEALTH.md", "they are updated within # seconds", "portsync.idleInterval", second},
		{"docs/HEALTH.md", "A link dump has not completed within # second", "portsync.dumpTimeLimit", second},
		{"docs/HEALTH.md", "waiting for ports # s after the start", "portsync.lateAfter", second},
		{"docs/HEALTH.md", "the interface was deleted more than # s ago", "portsync.missingAfter", second},
		{"docs/HEALTH.md", "got no interface within # s", "portsync.lateAfter", second},
		{"docs/HEALTH.md", "The text lists up to # ports", "portsync.mostNames", one},
		{"docs/HEALTH.md", "A link message is larger than # MiB", "netlinkraw.slotLimit", mebibyte},
		{"docs/HEALTH.md", "crashed or was killed and then restarted # times", "internal/warmrestart.startsAllowed", one},
		{"docs/HEALTH.md", "times within # minutes", "internal/warmrestart.startsWithin", minute},
		{"docs/STATUS.md", "reported as missing after # s", "portsync.missingAfter", second},
		{"docs/STATUS.md", "the newest # MiB of recorded events", "internal/journal.loadBytes", mebibyte},
		{"docs/STATUS.md", "Values longer than # bytes", "portsync.maxPortInfo", one},
		{"docs/STATUS.md", "after a burst of # events", "internal/journal.streamBurst", one},
		{"docs/STATUS.md", "changes within # seconds are merged", "internal/journal.streamRefill", second},
		{"docs/STATUS.md", "written within # second,", "internal/journal.flushMin", second},
		{"docs/STATUS.md", "or within # seconds while events arrive", "internal/journal.flushMax", second},
		{"docs/STATUS.md", "the newest # events in memory", "internal/journal.maxEvents", one},
		{"docs/STATUS.md", "The default is the last # hours", "internal/cli.defaultSince", hour},
		{"docs/STATUS.md", "repeats the query every # seconds until", "internal/cli.defaultInterval", second},
		{"docs/STATUS.md", "`limit` (at most #;", "internal/journal.maxQuery", one},
		{"docs/STATUS.md", "the default is #)", "internal/journal.defaultLimit", one},
		{"docs/TROUBLESHOOTING.md", "waits # seconds for the interface", "portsync.lateAfter", second},
		{"docs/TROUBLESHOOTING.md", "logged at most # times per second", "internal/syslog.LinesPerSecond", one},
		{"docs/TROUBLESHOOTING.md", "limited to # per second after a burst", "portsync.eventLinesPerSecond", one},
		{"docs/TROUBLESHOOTING.md", "per second after a burst of #.", "portsync.eventLinesBurst", one},
		{"docs/TROUBLESHOOTING.md", "limited to # at once for each port", "internal/journal.streamBurst", one},
		{"docs/TROUBLESHOOTING.md", "limited to # line per second", "internal/daemon.portLinesPerSecond", one},
		{"docs/TROUBLESHOOTING.md", "line per second after a burst of #.", "internal/daemon.portLinesBurst", one},
		{"docs/TROUBLESHOOTING.md", "these lines waits for at most # s", "internal/daemon.portLineTimeout", second},
		{"docs/TROUBLESHOOTING.md", "keeps up to # lines", "internal/syslog.maxQueued", one},
		{"docs/TROUBLESHOOTING.md", "lines for at most # s each", "internal/syslog.queueTimeout", second},
		{"docs/THREAT_MODEL.md", "Use up all # connections", "metrics.defaultMaxConns", one},
		{"docs/SPECIFICATION.md", "increases from # s to 1 min", "internal/warmrestart.minPause", second},
		{"docs/SPECIFICATION.md", "increases from 1 s to # min", "internal/warmrestart.maxPause", minute},
		{"README_DEPLOYMENT.md", "soft memory limit to # MiB", ".memoryLimit", mebibyte},
		{"README_DEPLOYMENT.md", "crashed or was killed # times", "internal/warmrestart.startsAllowed", one},
		{"deploy/prometheus/RUNBOOK.md", "the largest read buffer of # MiB", "netlinkraw.slotLimit", mebibyte},
		{"deploy/prometheus/RUNBOOK.md", "not created within # s after the port was added", "portsync.lateAfter", second},
		{"deploy/prometheus/RUNBOOK.md", "Health reports `overrun` for # minute after each overrun", "portsync.overrunHold", minute},
	} {
		value := constants.value(c.constant)
		if value.Kind() == constant.Unknown {
			t.Errorf("%s is not a constant with a number", c.constant)
			continue
		}
		f, _ := constant.Float64Val(value)
		number := f / c.unit
		spellings := []string{strconv.FormatFloat(number, 'f', -1, 64)}
		if n := int(number); float64(n) == number {
			if n >= 1000 {
				spellings = append(spellings, fmt.Sprintf("%d,%03d", n/1000, n%1000))
			}
			if n < len(words) {
				spellings = append(spellings, words[n])
			}
			if n == 1 {
				spellings = append(spellings, "a")
			}
		}
		if text[c.document] == "" {
			text[c.document] = strings.Join(strings.Fields(switchtest.ReadFile(t, c.document)), " ")
		}
		found := false
		for _, s := range spellings {
			found = found || strings.Contains(text[c.document], strings.Replace(c.phrase, "#", s, 1))
		}
		if !found {
			t.Errorf("%s does not say %q with the value of %s, %q", c.document, c.phrase, c.constant, spellings)
		}
	}
}

// constantExpressions maps directory.name to the expression of a constant of a package.
type constantExpressions map[string]ast.Expr

func packageConstants(all []source) constantExpressions {
	found := make(constantExpressions)
	for _, s := range all {
		for _, d := range s.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST || s.test {
				continue
			}
			for _, spec := range group.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, value := range spec.Values {
					found[s.dir+"."+spec.Names[i].Name] = value
				}
			}
		}
	}
	return found
}

// value returns the value of a constant, which may consist of literals, other constants of its
// package and those of package time. For any other constant the result is Unknown.
func (c constantExpressions) value(name string) constant.Value {
	dir, _, _ := strings.Cut(name, ".")
	return c.eval(dir, c[name])
}

func (c constantExpressions) eval(dir string, e ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.ParenExpr:
		return c.eval(dir, e.X)
	case *ast.Ident:
		return c.eval(dir, c[dir+"."+e.Name])
	case *ast.SelectorExpr:
		units := map[string]int64{"Millisecond": millisecond, "Second": second, "Minute": minute, "Hour": hour}
		if x, ok := e.X.(*ast.Ident); ok && x.Name == "time" && units[e.Sel.Name] != 0 {
			return constant.MakeInt64(units[e.Sel.Name])
		}
	case *ast.BinaryExpr:
		x, y := c.eval(dir, e.X), c.eval(dir, e.Y)
		if x.Kind() != constant.Int || y.Kind() != constant.Int {
			break
		}
		if n, _ := constant.Uint64Val(y); e.Op == token.SHL {
			return constant.Shift(x, e.Op, uint(n))
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	return constant.MakeUnknown()
}
