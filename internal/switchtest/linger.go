package switchtest

import (
	"time"
)

// HealthLingers is how long a reason stays after its end.
const HealthLingers = 2 * time.Second
