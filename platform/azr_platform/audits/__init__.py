"""What is asked of audited samples: questions, labels, reports, exports."""
