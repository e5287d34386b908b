module hardway/probe

go 1.26.0
