"""Everything the stages tell MLflow. With components/register.py the only file that imports mlflow."""
