package switchtest

import (
	"time"
)

// HealthLingers is how long a reason stays after its end.
const ReasonHold = 2 * time.Second
