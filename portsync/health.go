package portsync

import "time"

// Words for health.
const (
	Healthy   = "healthy"
	Degraded  = "degraded"  // ports are served; something wants a look
	Unhealthy = "unhealthy" // STATE_DB may not be what the kernel says
)

// Health is a verdict on the daemon.
type Health struct {
	Status  string         `json:"status"` // Healthy, Degraded or Unhealthy
	Score   int            `json:"score"`  // 100 less the deductions, at least 0
	Since   time.Time      `json:"since"`  // of Status
	Reasons []HealthReason `json:"reasons"`
}

// HealthReason is one thing that is wrong.
type HealthReason struct {
	Code      string    `json:"code"`      // for machines: "database_down"
	Severity  string    `json:"severity"`  // Degraded or Unhealthy
	Deduction int       `json:"deduction"` // from the score
	Text      string    `json:"text"`      // for people
	Since     time.Time `json:"since"`
}
