package portsync

import (
	"context"
	"sync/atomic"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/metrics"
)

// lingerFor is how long a reason stays after it was last there, so that one that
// comes and goes does not make the verdict flutter.
const lingerFor = 2 * time.Second

// overText is the text of a reason in that time.
const overText = "it has ended; the reason is dropped once it has been absent for 2 s"

// verdict is what is wrong, and since when, on the loop's clock.
type verdict struct {
	reasons conditions
	since   [numConditions]int64
	status  string
	from    int64 // of status
	score   int
}

// disabled is the verdict on a daemon whose loop is not to run.
var disabled = verdict{status: Disabled, score: 100}

// judgement is a verdict that follows what is wrong.
type judgement struct {
	verdict
	until [numConditions]int64 // how long each reason stays at least
}

// step takes what is wrong now, and what would not begin and is not over either.
// It reports whether the verdict has changed. With settled unset, before the
// initial sync is over, nothing lingers.
func (j *judgement) step(wrong, lasting conditions, settled bool, now int64) bool {
	was := j.verdict
	wrong |= lasting & was.reasons
	j.reasons = 0
	for c := range numConditions {
		there := wrong.has(c)
		if there {
			j.until[c] = now
			if settled {
				j.until[c] += int64(lingerFor)
			}
		}
		if !there && !(was.reasons.has(c) && now < j.until[c]) {
			continue
		}
		j.reasons.add(c, true)
		if !was.reasons.has(c) {
			j.since[c] = now
		}
	}
	j.weigh()
	if j.status != was.status {
		j.from = now
	}
	return j.reasons != was.reasons || j.status != was.status
}

// weigh finds the word and the score for the reasons.
func (j *judgement) weigh() {
	j.status, j.score = Healthy, 100
	for c := range numConditions {
		if !j.reasons.has(c) {
			continue
		}
		j.score -= HealthCodes[c].Deduction
		if j.status != Unhealthy {
			j.status = HealthCodes[c].Severity
		}
	}
	j.score = max(j.score, 0)
}

// Keeper is asked how what is to survive the process is kept. Its methods may be
// called from any goroutine and do not wait. warmrestart.Memory is one.
type Keeper interface {
	Trouble() []string
	Overdue(now time.Time) (what string, since time.Time, overdue bool)
	Restarts() []warmrestart.Restart
}

// Judge says how the daemon is. Whoever asks has the verdict brought up to date,
// from any goroutine; who asks while another one does so gets the verdict before.
type Judge struct {
	status *Status
	keeper Keeper
	storm  atomic.Pointer[string] // of restarts, as Watch last saw; nil: there is none

	busy    atomic.Bool
	state   judgement // belongs to who has set busy
	current atomic.Pointer[verdict]
}

// NewJudge returns the judge of a loop that was made, and adds its gauges to set.
// Keeper may be nil.
func NewJudge(s *Status, k Keeper, set *metrics.Set) *Judge {
	j := &Judge{status: s, keeper: k}
	j.look()
	set.NewGaugeFunc("portsyncd_healthy", "1 while the daemon is healthy, degraded or disabled, 0 while it is unhealthy.",
		func() float64 { return float64(bit(j.look().status != Unhealthy)) })
	for c := range numConditions {
		set.NewGaugeFunc("portsyncd_health_reason", "1 while this is a reason not to be healthy.",
			func() float64 { return float64(bit(j.look().reasons.has(c))) },
			metrics.Label{Name: "code", Value: HealthCodes[c].Code})
	}
	return j
}

// look brings the verdict up to date and returns it.
func (j *Judge) look() *verdict {
	if j.status.disabled {
		return &disabled
	}
	if !j.busy.CompareAndSwap(false, true) {
		return j.current.Load()
	}
	defer j.busy.Store(false)
	settled, e := j.status.ready.Load(), j.gather(j.status.clock.now())
	if j.state.step(e.wrong, e.lasting, settled, e.now) {
		v := j.state.verdict
		j.current.Store(&v)
		j.status.poke() // for Watch to tell
	}
	return j.current.Load()
}

// Health returns the verdict. It may be called from any goroutine.
func (j *Judge) Health() Health { return j.health(j.look()) }

func (j *Judge) health(v *verdict) Health {
	clock := j.status.clock
	e := j.gather(clock.now())
	h := Health{Status: v.status, Score: v.score, Since: clock.time(v.from).UTC(), Reasons: []HealthReason{}}
	for c := range numConditions {
		if !v.reasons.has(c) {
			continue
		}
		r := HealthReason{
			Code: HealthCodes[c].Code, Severity: HealthCodes[c].Severity, Deduction: HealthCodes[c].Deduction,
			Text: overText, Since: clock.time(v.since[c]).UTC(),
		}
		if (e.wrong | e.lasting).has(c) {
			r.Text = e.text(c)
		}
		h.Reasons = append(h.Reasons, r)
	}
	return h
}

// Poke has Watch look at once. It may be called from any goroutine.
func (j *Judge) Poke() { j.status.poke() }

// Times between two looks of Watch: while there is nothing to be seen, and while
// something is wrong or may soon be. Each look wakes up an idle process, and what
// begins without poking is rare: a write or a disk that takes long. Whoever asks,
// such as Prometheus, looks too.
const (
	calmEvery  = 30 * time.Second
	alertEvery = 500 * time.Millisecond
)

// slow are reasons that last for minutes by their nature: nobody waits for their
// end, and a daemon that was restarted often is to be as quiet as any other.
const slow conditions = 1<<restartStorm | 1<<overrun

// pause is how long Watch may sleep after a look with that verdict.
func (j *Judge) pause(v *verdict) time.Duration {
	e := j.gather(j.status.clock.now())
	over := v.reasons &^ (e.wrong | e.lasting) // they linger
	if v.reasons&^slow != 0 || over != 0 || j.status.uneasy() {
		return alertEvery
	}
	return calmEvery
}

// Watch looks at what is wrong until ctx ends, from the end of the initial sync
// on, and calls tell with each verdict that differs from the one before; the
// first counts as healthy. The loop wakes it up when something happens; beside
// that it looks each calmEvery.
func (j *Judge) Watch(ctx context.Context, tell func(was, is Health)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	told, was := (*verdict)(nil), Health{Status: Healthy, Score: 100}
	for ctx.Err() == nil {
		j.countRestarts()
		v := j.look()
		if j.status.ready.Load() && v != told && (told != nil || v.reasons != 0) {
			is := j.health(v)
			tell(was, is)
			told, was = v, is
		}
		timer.Reset(j.pause(v))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-j.status.pokes:
		}
	}
}

// countRestarts looks whether there are too many.
func (j *Judge) countRestarts() {
	if j.keeper == nil {
		return
	}
	storm, storming := warmrestart.RestartStorm(j.keeper.Restarts(), time.Now())
	if !storming {
		j.storm.Store(nil)
		return
	}
	j.storm.Store(&storm.Text)
}
